// Package runfile is how a command finds the daemon of the same user without flags: the daemon writes its addresses
// and its token below its data folder, and a pointer from its admin address to that folder into the user's cache
// folder.
//
//	DATA/run/addresses.json        api.Addresses, mode 0600
//	DATA/run/token                 bearer token, mode 0600, new at every start
//	DATA/run/admin.crt             certificate of the admin port, when it speaks TLS
//	CACHE/weir/run/HOST_PORT.json  {"data": DATA}, mode 0600; CACHE is os.UserCacheDir
//
// The token is read only from folders that belong to the same user, so whoever else listens at the address gets a
// token that means nothing to the daemon that made it once it has ended: it is made anew at every start.
package runfile
