// Package integration tests Holdfast through real middleboxes. See the tests.
package integration
