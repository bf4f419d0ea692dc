package nbd

import (
	"errors"
	"fmt"

	"github.com/weirstor/weir/target"
)

// ErrUnknownExport says that no export has the name asked for.
var ErrUnknownExport = errors.New("no such export")

// Exports is what a Server serves. Its methods are called from many goroutines at once, for every handshake anew.
type Exports interface {
	// Export returns the device called name, or an error: ErrUnknownExport (wrapped or not) when there is none. For
	// the empty name, the default export, an implementation may return a device of its choice; if it returns
	// ErrUnknownExport and List has exactly one entry, that one is the default.
	//
	// A Device that has a method Release() gets one call of it for each Export that returned it, after the last use.
	Export(name string) (target.Device, ExportInfo, error)

	// List returns the exports that clients may see, in the order in which they shall see them.
	List() []ExportInfo
}

// ExportInfo describes an export to clients.
type ExportInfo struct {
	Name        string          // UTF-8 without NUL, at most 4096 bytes
	Description string          // for people; same limits; may be empty
	Contexts    ContextProvider // what the exporter knows beside the device itself; may be nil
	Owner       [16]byte        // what the export belongs to, for Options.Authorize and Attach; not told to clients
}

// ContextProvider can tell more about the blocks of an export than base:allocation does. It may be implemented by
// devices; those who export a device can bring one of their own.
// proto.md, "Metadata querying".
type ContextProvider interface {
	// Contexts lists the names of all contexts. A name that ends with a colon stands for a family whose members can
	// not all be listed; it is shown to clients, and not selected.
	Contexts() []string

	// Context returns the context of exactly this name, and false if there is none.
	Context(name string) (Context, bool)
}

// Context describes the blocks of a device in one respect. Safe for concurrent use.
type Context interface {
	// Status describes at least the first byte of [off, off+n), and at most the whole, as consecutive extents in
	// address order from off on.
	Status(off, n int64) ([]Status, error)
}

// Status is a run of blocks of one status.
type Status struct {
	Len   int64  // bytes, > 0
	Flags uint32 // as the context defines
}

// lookup finds the export called name, with the default export for the empty name.
func lookup(e Exports, name string) (target.Device, ExportInfo, error) {
	dev, info, err := e.Export(name)
	if name != "" || !errors.Is(err, ErrUnknownExport) {
		return dev, info, err
	}
	list := e.List()
	if len(list) != 1 {
		return nil, ExportInfo{}, fmt.Errorf("%w: no name was given and there are %d exports", ErrUnknownExport, len(list))
	}
	return e.Export(list[0].Name)
}

// release tells dev that one user is gone.
func release(dev target.Device) {
	if r, ok := dev.(interface{ Release() }); ok {
		r.Release()
	}
}
