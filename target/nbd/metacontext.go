package nbd

import (
	"encoding/binary"
	"errors"
	"strings"
)

// baseAllocation is the one context that the protocol itself defines; proto.md, "base:allocation metadata context".
const baseAllocation = "base:allocation"

// metaContext is a context that a client has selected.
type metaContext struct {
	name string
	from Context
}

// bind attaches m to what is to be served. It is what m was selected on, looked up again.
func (m *metaContext) bind(t *terms) {
	if c, ok := t.findContext(m.name); ok {
		m.from = c
	}
}

// findContext returns the context of t called name.
func (t *terms) findContext(name string) (Context, bool) {
	if name == baseAllocation {
		return allocation{t.dev}, true
	}
	if strings.HasSuffix(name, ":") {
		return nil, false
	}
	for _, p := range t.providers() {
		if c, ok := p.Context(name); ok {
			return c, true
		}
	}
	return nil, false
}

// providers are those who know contexts of t: the device, and who exports it.
func (t *terms) providers() (list []ContextProvider) {
	if p, ok := t.dev.(ContextProvider); ok {
		list = append(list, p)
	}
	if t.export.Contexts != nil {
		list = append(list, t.export.Contexts)
	}
	return list
}

// contextNames lists the contexts of t.
func (t *terms) contextNames() []string {
	names := []string{baseAllocation}
	for _, p := range t.providers() {
		names = append(names, p.Contexts()...)
	}
	return names
}

// metaContext answers LIST_META_CONTEXT and SET_META_CONTEXT; proto.md, "NBD_OPT_LIST_META_CONTEXT (9)".
func (h *handshake) metaContext(o option, data []byte) error {
	if o == optSetMetaContext {
		h.contexts, h.contextsFor = nil, ""
	}
	if h.style == simple {
		return h.refuse(o, repErrInvalid, "structured replies come first")
	}
	q, err := parseMeta(data)
	if errors.Is(err, errTooManyQueries) {
		return h.refuse(o, repErrTooBig, err.Error())
	}
	if err != nil {
		return h.refuse(o, repErrInvalid, err.Error())
	}
	t, err := h.open(q.name)
	if err != nil {
		return h.refuseExport(o, q.name, err)
	}
	defer release(t.dev)
	if o == optListMetaContext {
		return h.listContexts(t, q.queries)
	}
	return h.setContexts(t, q)
}

// listContexts shows every context that a query matches, once; all when there is no query.
func (h *handshake) listContexts(t *terms, queries []string) error {
	names := t.contextNames()
	seen := make(map[string]bool)
	show := func(name string) error {
		if seen[name] || checkText(name) != nil {
			return nil
		}
		seen[name] = true
		return h.replyContext(optListMetaContext, 0, name)
	}
	for _, name := range names {
		if len(queries) == 0 || matchesAny(name, queries) {
			if err := show(name); err != nil {
				return err
			}
		}
	}
	for _, q := range queries {
		if _, ok := t.findContext(q); ok {
			if err := show(q); err != nil {
				return err
			}
		}
	}
	return h.reply(optListMetaContext, repAck, nil)
}

// matchesAny reports whether name is one of queries, or begins with one that ends with a colon.
func matchesAny(name string, queries []string) bool {
	for _, q := range queries {
		if name == q || strings.HasSuffix(q, ":") && strings.HasPrefix(name, q) {
			return true
		}
	}
	return false
}

// setContexts selects the contexts that queries name; unknown ones and wildcards are ignored.
func (h *handshake) setContexts(t *terms, q metaRequest) error {
	var chosen []metaContext
	for _, query := range q.queries {
		if _, ok := t.findContext(query); !ok || selected(chosen, query) {
			continue
		}
		chosen = append(chosen, metaContext{name: query})
		if err := h.replyContext(optSetMetaContext, uint32(len(chosen)), query); err != nil {
			return err
		}
	}
	h.contexts, h.contextsFor = chosen, q.name
	return h.reply(optSetMetaContext, repAck, nil)
}

func selected(chosen []metaContext, name string) bool {
	for i := range chosen {
		if chosen[i].name == name {
			return true
		}
	}
	return false
}

func (h *handshake) replyContext(o option, id uint32, name string) error {
	return h.reply(o, repMetaContext, append(binary.BigEndian.AppendUint32(nil, id), name...))
}
