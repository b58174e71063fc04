package wire

// Error codes of replies. Those from -32700 to -32603 are JSON-RPC's.
const (
	CodeParse     = -32700 // the message is not JSON
	CodeInvalid   = -32600 // it is not a request
	CodeMethod    = -32601 // the method does not exist
	CodeParams    = -32602 // the parameters are wrong
	CodeInternal  = -32603 // a fault of ours
	CodeNeedAuth  = -32001 // the client must authenticate first
	CodeAuth      = -32002 // its token was refused
	CodeAuthLate  = -32003 // it did not authenticate in time
	CodeRate      = -32004 // it sends too many requests
	CodeSubscribe = -32005 // some of a list of rooms could not be joined or left
	CodeNoRoom    = -32006 // no pattern matches the room
	CodeForbidden = -32007 // the room is another user's, or the claims do not allow it
	CodeTooOld    = -32008 // what came after the positions is gone
	CodeLimit     = -32009 // a limit forbids it
	CodeNotNow    = -32010 // it may succeed later
)

// Close codes. 4000 to 4099 mean: do not reconnect. 4100 to 4199 mean: back off. 4200 to 4299 mean:
// reconnect with jitter and resume. Codes below 4000 are those of RFC 6455 (7.4.1) and IANA.
// Package wsread names the codes for errors in the protocol itself (1002, 1007, 1009).
const (
	CloseAway        = 1001 // the gateway gives up the connection
	CloseUnsupported = 1003 // a message of a kind that is not accepted
	CloseNoStatus    = 1005 // a close frame without a code; never sent
	CloseNone        = 1006 // no close frame was seen; never sent
	ClosePolicy      = 1008 // too many frames that are not requests
	CloseRestart     = 1012 // the gateway stops
	CloseTryLater    = 1013 // too little memory for a message of the client
	CloseAuth        = 4001 // the token was refused
	CloseForbidden   = 4003 // the user's access was revoked, or an operator has closed it
	CloseAuthLate    = 4004 // the client did not authenticate in time
	CloseRate        = 4108 // it sends too many requests
	CloseTooMany     = 4129 // too many clients wait to authenticate
	CloseExpired     = 4201 // the token has expired, or a new one can help
	CloseTooSlow     = 4208 // the client lags by more than the room keeps
)
