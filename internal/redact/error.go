package redact

import (
	"errors"
	"net/url"
	"reflect"
	"strings"
)

var errParse = errors.New("the URL does not parse")

// Error returns an error with the same causes as err in whose whole chain no
// text holds a URL with secrets. A *url.Error, in which http.Client puts the
// full query, gives way to its cause; the cause of one from url.Parse quotes
// the URL too and is not kept. An error that had to be rewritten still matches
// itself with errors.Is, but no longer its type with errors.As; errors
// without secrets are returned as they are.
func Error(err error) error {
	if err == nil || !dirty(err) {
		return err
	}
	if ue, ok := err.(*url.Error); ok {
		if ue.Op == "parse" || ue.Err == nil {
			return errParse
		}
		return Error(ue.Err)
	}
	c := &cleaned{orig: err, text: err.Error()}
	for _, cause := range causes(err) {
		clean := Error(cause)
		c.causes = append(c.causes, clean)
		if shown := cause.Error(); shown != "" {
			c.text = strings.ReplaceAll(c.text, shown, clean.Error())
		}
	}
	c.text = text(c.text)
	return c
}

// dirty says whether err or a cause of it shows a URL with secrets.
func dirty(err error) bool {
	if _, ok := err.(*url.Error); ok {
		return true
	}
	if s := err.Error(); text(s) != s {
		return true
	}
	for _, cause := range causes(err) {
		if dirty(cause) {
			return true
		}
	}
	return false
}

func causes(err error) []error {
	var list []error
	switch x := err.(type) {
	case interface{ Unwrap() error }:
		list = []error{x.Unwrap()}
	case interface{ Unwrap() []error }:
		list = x.Unwrap()
	}
	kept := make([]error, 0, len(list))
	for _, e := range list {
		if e != nil {
			kept = append(kept, e)
		}
	}
	return kept
}

// cleaned stands for orig, which it does not give away.
type cleaned struct {
	orig   error
	text   string
	causes []error
}

func (c *cleaned) Error() string   { return c.text }
func (c *cleaned) Unwrap() []error { return c.causes }

// Is matches the error it stands for.
func (c *cleaned) Is(target error) bool {
	if reflect.TypeOf(target).Comparable() && c.orig == target {
		return true
	}
	x, ok := c.orig.(interface{ Is(error) bool })
	return ok && x.Is(target)
}
