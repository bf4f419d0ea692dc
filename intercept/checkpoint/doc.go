// Package checkpoint keeps what a group must know before it reads its write log: where the log begins that is not in
// the base yet, the volumes at that place, where recoveries ended the log, and the ledger of what is committed.
//
// The file has two slots that are written in turn; the valid slot with the higher generation counts. A slot that was
// torn by a crash leaves the one before. docs/format-write-log.md is the specification.
package checkpoint
