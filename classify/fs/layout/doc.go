// Package layout finds the file systems on a volume: on the whole of it, in partitions of a GPT or MBR, in LVM2 logical
// volumes that are linear on this one physical volume, and on a member of an MD array that holds its data unstriped.
package layout
