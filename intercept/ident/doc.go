// Package ident holds the names by which groups, volumes, timelines and recovery points are known on every side.
package ident
