package api

import "reflect"

// Fill makes every nil slice within the value that p points to an empty one, so that a list is always [] in JSON and
// never null. Slices that the field's tag leaves out when empty are left out still.
func Fill[T any](p *T) { fill(reflect.ValueOf(p).Elem()) }

// Filled returns a copy of v after Fill. The elements of its slices are shared with v and filled in place: v must be
// the caller's own.
func Filled(v any) any {
	c := reflect.New(reflect.TypeOf(v)).Elem()
	c.Set(reflect.ValueOf(v))
	fill(c)
	return c.Interface()
}

func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			fill(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				fill(f)
			}
		}
	case reflect.Slice:
		if v.IsNil() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		if holdsStructs(v.Type().Elem()) {
			for i := range v.Len() {
				fill(v.Index(i))
			}
		}
	default: // nothing within
	}
}

func holdsStructs(t reflect.Type) bool {
	return t.Kind() == reflect.Struct || t.Kind() == reflect.Pointer
}
