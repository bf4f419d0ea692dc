// Package wire is the part of iSCSI (RFC 7143) that target and initiator share: PDU headers, framing with padding and
// digests, text keys and their negotiation rules. It holds no state of a session.
//
// Vocabulary: BHS is the 48-byte basic header segment; AHS are additional header segments; ITT and TTT are the task
// tags that initiator and target choose; a data segment is padded to four bytes and may be followed by a CRC-32C.
package wire
