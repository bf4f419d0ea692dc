// Package wire runs the wire workload: steps.sh fills a mounted file system with source code, a PostgreSQL cluster, an
// SQLite database and a git repository, and then changes it in fourteen steps of different character. What each step
// costs on the wire is the project's measure of packaging.
package wire
