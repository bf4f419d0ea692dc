// Package fs says what a file system on a volume is to the rest of Weir: where its structures lie, which inodes it has,
// which bytes of the volume each of them holds, and what its directories call them.
//
// The packages below it read single kinds: fs/ext4, fs/xfs, fs/ntfs; fs/layout finds them behind partition tables and
// volume managers. All of them only read, and all of them treat what they read as hostile: geometry is held to the
// size of the volume, every walk has a bound, a structure that makes no sense is left out. So knowledge may be
// missing, never wrong enough to harm: what is derived from it are hints and reports.
package fs
