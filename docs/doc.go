// Package docs holds the pages of documentation, and the tests that keep them
// true. It is a module of its own, since the blocks of migrating.md need other
// libraries.
//
// The tests walk every page here, and README.md of the repository:
//
//   - A go block that begins with "package" is compiled as it is. Of any other,
//     declarations are compiled as a file, and statements as the body of a
//     function; the imports that it needs are found by the names in front of its
//     dots (see fragment_test.go), and it may use ctx, url, conn and a few more,
//     and need not use the conn and err that it declares. Tests are run.
//     A mark before a block, <!-- go: gorilla -->, says which package
//     "websocket" is.
//   - nginx, haproxy and squid blocks have a mark, <!-- run: name -->, by which a
//     test of module integration reads and runs them.
//   - yaml has a mark, <!-- manifest: name -->, and is parsed and checked.
//   - Each line of sh has to name packages, tests and commands that exist; a line
//     before the block that begins with "In `folder/`" says where.
//   - json is parsed.
//   - text has a mark, <!-- output: name -->, that names what a test makes it from.
//
// Anything else fails, and so does a link that leads nowhere, and a test named
// in a page that does not exist.
package docs
