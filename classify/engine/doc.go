// Package engine decides how hard packaging looks for fewer bytes.
//
// There are two questions. Search: where the copies of a changed run are looked for, from the same address alone to
// deflate streams. Squeeze: which compressor a column of a frame is worth. Each is answered by a small decision tree
// from a few features of what lies there, one tree for each Sensitivity. The trees make up a Model; the shipped one is
// embedded, another one can be loaded from a file.
//
// Learn makes a Model from samples: features, with what each answer would have cost in bytes and in work. A sample
// holds no content. An answer never changes what is restored, only how many bytes and how much work it takes.
package engine
