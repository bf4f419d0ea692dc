// Package migrate moves a group's servers: it takes a migration through the steps of a cutover, in order, and keeps on
// stable storage how far it has come, so that one that was cut off is resumed, or undone as long as nothing has been given
// away.
//
// What a step does is up to System. Up to Fence every step can be undone: writes that were held go on at the source. Fence
// is the point of no return; what follows is only repeated until it works.
package migrate
