// Package ntfs reads NTFS: where $MFT, $Bitmap, $LogFile and the indexes of directories lie (regions.go), the file
// records and the clusters of each (record.go, attribute.go), and directories (dir.go). What lies in $LogFile only is not
// looked at. Streams with a name are not part of a file's content here.
//
// Source: the structures as documented by the Linux-NTFS project and as in Linux, fs/ntfs3/ntfs.h.
package ntfs
