package admin

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/weirstor/weir/admin/api"
)

var update = flag.Bool("update", false, "write openapi.json from the routes and the types of admin/api")

// TestOpenAPIDocument holds openapi.json to the table of routes. After a change: go test ./admin -update
func TestOpenAPIDocument(t *testing.T) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(document((&Server{}).routes())); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("openapi.json", b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if !bytes.Equal(b.Bytes(), openapiDocument) {
		t.Fatal("openapi.json is not what the routes say; run: go test ./admin -update")
	}
	doc, err := openapi3.NewLoader().LoadFromData(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
}

type object = map[string]any

// document describes routes as OpenAPI 3.1.
func document(routes []route) object {
	s := &schemas{byName: object{}}
	paths := object{}
	for _, r := range routes {
		item, _ := paths[r.Path].(object)
		if item == nil {
			item = object{}
			paths[r.Path] = item
		}
		item[strings.ToLower(r.Method)] = operation(s, r)
	}
	paths["/events"] = object{"get": object{
		"operationId": "listEvents",
		"summary": "The kept events; as server-sent events (Accept: text/event-stream) also all later ones, from " +
			"Last-Event-ID on, and with ?status the status, at once and every so many seconds",
		"parameters": []object{parameter("status", "query", object{"type": "number"}, "seconds between two states; 1 when empty")},
		"responses":  responses(s, 200, api.EventList{}, true),
	}}
	s.of(reflect.TypeFor[api.Progress]())
	return object{
		"openapi":    "3.1.0",
		"info":       object{"title": "Weir", "version": "1", "description": "Storage-appliance gateway and its provider cluster."},
		"servers":    []object{{"url": apiRoot}},
		"security":   []object{{}, {"token": []string{}}},
		"paths":      paths,
		"components": object{"schemas": s.byName, "securitySchemes": object{"token": object{"type": "http", "scheme": "bearer"}}},
	}
}

func operation(s *schemas, r route) object {
	op := object{"operationId": r.ID, "summary": r.Summary, "responses": responses(s, r.Status, r.Response, r.Long)}
	if r.write != nil {
		op["responses"].(object)[fmt.Sprint(r.Status)].(object)["content"] = object{"application/octet-stream": object{}}
	}
	var params []object
	for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(r.Path, -1) {
		params = append(params, parameter(m[1], "path", object{"type": "string"}, ""))
	}
	for _, q := range r.Query {
		params = append(params, parameter(q.name, "query", object{"type": q.kind}, q.doc))
	}
	if params != nil {
		op["parameters"] = params
	}
	if r.Request != nil {
		op["requestBody"] = object{"required": true, "content": jsonBody(s.of(reflect.TypeOf(r.Request)))}
	}
	return op
}

func parameter(name, in string, schema object, doc string) object {
	p := object{"name": name, "in": in, "schema": schema}
	if in == "path" {
		p["required"] = true
	}
	if doc != "" {
		p["description"] = doc
	}
	return p
}

func responses(s *schemas, status int, body any, stream bool) object {
	ok := object{"description": "done"}
	if body != nil {
		content := jsonBody(s.of(reflect.TypeOf(body)))
		if stream {
			content["text/event-stream"] = object{"schema": object{"type": "string",
				"description": "progress events (Progress), then one result or problem"}}
		}
		ok["content"] = content
	}
	return object{
		fmt.Sprint(status): ok,
		"default": object{"description": "RFC 9457 problem details",
			"content": object{api.ProblemMediaType: object{"schema": s.of(reflect.TypeFor[api.Problem]())}}},
	}
}

func jsonBody(schema object) object {
	return object{"application/json": object{"schema": schema}}
}

// schemas collects the named types as JSON Schema 2020-12.
type schemas struct {
	byName object
}

func (s *schemas) of(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t.Kind() == reflect.Pointer:
		return s.of(t.Elem())
	case t.Kind() == reflect.Slice:
		return object{"type": "array", "items": s.of(t.Elem())}
	case t.Kind() == reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case t.Kind() == reflect.Struct:
		if _, known := s.byName[t.Name()]; !known {
			s.byName[t.Name()] = object{} // breaks cycles
			s.byName[t.Name()] = s.structure(t)
		}
		return object{"$ref": "#/components/schemas/" + t.Name()}
	}
	return scalar(t)
}

func scalar(t reflect.Type) object {
	switch t.Kind() {
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Float64:
		return object{"type": "number"}
	case reflect.Int, reflect.Int64:
		return object{"type": "integer", "format": "int64"}
	case reflect.Uint32, reflect.Uint64:
		return object{"type": "integer", "minimum": 0}
	}
	panic("no schema for " + t.String())
}

func (s *schemas) structure(t reflect.Type) object {
	props := object{}
	required := []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		p := s.of(f.Type)
		if doc := f.Tag.Get("doc"); doc != "" {
			p["description"] = doc
		}
		if values := f.Tag.Get("enum"); values != "" {
			p["enum"] = enum(f.Type, values)
		}
		props[name] = p
		if opts == "" {
			required = append(required, name)
		}
	}
	return object{"type": "object", "properties": props, "required": required, "additionalProperties": false}
}

func enum(t reflect.Type, values string) []any {
	var out []any
	for v := range strings.SplitSeq(values, ",") {
		if t.Kind() == reflect.String {
			out = append(out, v)
			continue
		}
		var n json.Number = json.Number(v)
		out = append(out, n)
	}
	return out
}
