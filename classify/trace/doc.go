// Package trace records what packaging decided and what other decisions would have cost.
//
// A trace teaches the decision engine (classify/engine) what a site's own writes are like, and prices them. It holds
// numbers only, no content, no names and no addresses: the features of each decision, the bytes and the work of each
// answer, and for each epoch what sending whole blocks would have cost. docs/format-trace.md specifies the file, which is
// text, so that everybody can see what it tells before it leaves the site.
package trace
