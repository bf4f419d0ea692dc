package nbd

// Magic numbers; proto.md, "Protocol phases" and "Reserved Magic values".
const (
	magicInit            uint64 = 0x4e42444d41474943 // NBDMAGIC
	magicOption          uint64 = 0x49484156454f5054 // IHAVEOPT
	magicOptionReply     uint64 = 0x0003e889045565a9
	magicRequest         uint32 = 0x25609513
	magicExtendedRequest uint32 = 0x21e41c71
	magicSimpleReply     uint32 = 0x67446698
	magicStructuredReply uint32 = 0x668e33ef
	magicExtendedReply   uint32 = 0x6e8a278c
)

// Handshake and client flags; proto.md, "Handshake flags" and "Client flags".
const (
	flagFixedNewstyle uint16 = 1 << 0
	flagNoZeroes      uint16 = 1 << 1

	clientFixedNewstyle uint32 = 1 << 0
	clientNoZeroes      uint32 = 1 << 1
)

// Transmission flags; proto.md, "Transmission flags".
const (
	flagHasFlags           uint16 = 1 << 0
	flagReadOnly           uint16 = 1 << 1
	flagSendFlush          uint16 = 1 << 2
	flagSendFUA            uint16 = 1 << 3
	flagSendTrim           uint16 = 1 << 5
	flagSendWriteZeroes    uint16 = 1 << 6
	flagSendDF             uint16 = 1 << 7
	flagCanMultiConn       uint16 = 1 << 8
	flagSendCache          uint16 = 1 << 10
	flagSendFastZero       uint16 = 1 << 11
	flagBlockStatusPayload uint16 = 1 << 12
)

// option is an option type; proto.md, "Option types".
type option uint32

const (
	optExportName      option = 1
	optAbort           option = 2
	optList            option = 3
	optStartTLS        option = 5
	optInfo            option = 6
	optGo              option = 7
	optStructuredReply option = 8
	optListMetaContext option = 9
	optSetMetaContext  option = 10
	optExtendedHeaders option = 11
)

// optionReply is an option reply type; proto.md, "Option reply types".
type optionReply uint32

const (
	repAck         optionReply = 1
	repServer      optionReply = 2
	repInfo        optionReply = 3
	repMetaContext optionReply = 4

	repErrUnsup         optionReply = 1<<31 + 1
	repErrPolicy        optionReply = 1<<31 + 2
	repErrInvalid       optionReply = 1<<31 + 3
	repErrTLSReqd       optionReply = 1<<31 + 5
	repErrUnknown       optionReply = 1<<31 + 6
	repErrShutdown      optionReply = 1<<31 + 7
	repErrTooBig        optionReply = 1<<31 + 9
	repErrExtHeaderReqd optionReply = 1<<31 + 10
)

// Information types of INFO and GO; proto.md, "NBD_REP_INFO".
const (
	infoExport      uint16 = 0
	infoName        uint16 = 1
	infoDescription uint16 = 2
	infoBlockSize   uint16 = 3
)

// command is a request type; proto.md, "Request types".
type command uint16

const (
	cmdRead        command = 0
	cmdWrite       command = 1
	cmdDisc        command = 2
	cmdFlush       command = 3
	cmdTrim        command = 4
	cmdCache       command = 5
	cmdWriteZeroes command = 6
	cmdBlockStatus command = 7
)

// Command flags; proto.md, "Command flags".
const (
	cmdFlagFUA        uint16 = 1 << 0
	cmdFlagNoHole     uint16 = 1 << 1
	cmdFlagDF         uint16 = 1 << 2
	cmdFlagReqOne     uint16 = 1 << 3
	cmdFlagFastZero   uint16 = 1 << 4
	cmdFlagPayloadLen uint16 = 1 << 5
)

// Structured reply flags and types; proto.md, "Structured reply flags" and "Structured reply types".
const (
	replyFlagDone uint16 = 1 << 0

	replyNone           uint16 = 0
	replyOffsetData     uint16 = 1
	replyOffsetHole     uint16 = 2
	replyBlockStatus    uint16 = 5
	replyBlockStatusExt uint16 = 6
	replyError          uint16 = 1<<15 + 1
	replyErrorOffset    uint16 = 1<<15 + 2
)

// Status flags of base:allocation; proto.md, "base:allocation metadata context".
const (
	stateHole uint64 = 1 << 0
	stateZero uint64 = 1 << 1
)

// Sizes in bytes of the fixed parts of messages.
const (
	requestSize         = 28
	extendedRequestSize = 32
	simpleReplySize     = 16
	structuredReplySize = 20
	extendedReplySize   = 32
)

const (
	// MaxPayload is the most bytes that one READ or WRITE may carry: the size that proto.md, "Size constraints",
	// wants every server to accept.
	MaxPayload = 32 << 20

	preferredBlock = 4096
	maxString      = 4096 // proto.md, "Conventions"
)
