// Package extent maps ranges of a volume to the log records that hold their content.
//
// Active takes inserts while an epoch is open; Sealed is what it becomes, a sorted array that never changes. Between
// overlapping entries the higher log position wins, in whatever order they arrive. Neither holds a pointer for each
// entry, so the garbage collector does not walk them.
package extent
