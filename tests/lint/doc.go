// Package lint holds the house rules that can be tested. Its tests read the source tree: allowed imports (the table in
// the root doc.go), a doc.go in every package, formatting, words that mark unfinished work, links in the documents,
// and the list of Debian packages.
package lint
