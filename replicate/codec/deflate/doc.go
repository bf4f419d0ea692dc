// Package deflate compresses to exactly the bytes that zlib makes, so that what zlib compressed can travel as its
// content and be compressed again where it arrives. Git objects, and much of zip, docx and png, are of that kind.
//
// It follows the algorithm of zlib 1.2.x and 1.3.x at levels 1 to 9 with a window of 32 KiB, memory level 8 and the
// default strategy: hash chains of three bytes, greedy (levels 1 to 3) or lazy (4 to 9) matching, blocks of 16,383
// symbols, each stored, fixed or dynamic, whichever is shortest. The result is part of the wire format: it must never
// change. Whoever uses it compares before relying on it; other compressors' streams simply do not compare equal.
package deflate
