// Package config is what a person can set: the same fields by flags and by a YAML file (--config FILE), read strictly.
// A key that is not known, a value of the wrong form and a contradiction are errors that name the line.
package config
