package connect

const help = `Usage: holdfast connect URL [flags]

Connects to a WebSocket server and keeps the connection up. Each line that is
typed is a message; what arrives is shown. The connection may be lost and come
back while a line is being typed: the line stays, and what was entered meanwhile
is sent then. A URL of ws or wss falls back on long polling where WebSocket is
blocked and the server is one of package server; one of http or https polls.

Connecting:
  -H 'Name: value'     a header of the handshake; repeatable (also --header)
  --auth ENV           the header Authorization has the value of the environment
                       variable ENV, so that it stands in no list of processes
  --subprotocol NAME   offered in this order; repeatable
  --proxy URL          http, https, socks5 or socks5h; none for none; by default
                       what HTTP_PROXY, HTTPS_PROXY and NO_PROXY say
  --insecure           accepts any certificate
  --allow-insecure-credentials
                       lets credentials travel unencrypted to other hosts
  --no-fallback        WebSocket or nothing
  --no-session         plain WebSocket, and no fallback
  --ping D             silence after which a ping goes out, 25s by default; 0 is never
  --retries N          retries in a row, or unlimited; 10 by default, 0 for none

Messages:
  --text               what is entered is text; the default
  --json               and JSON that arrives is indented
  --binary             what is entered is hex (de ad be ef), or base64 after the
                       word base64:, and is sent as a binary message
  In a terminal binary messages are shown as a hex dump, and control characters as
  escapes, such as \x1b. Elsewhere text is written as it is, and each binary
  message as a line of hex.

Scripts:
  --send MESSAGE       sends it; repeatable. The standard input is not read then
  --expect TEXT        a message with TEXT in it must arrive; repeatable, in order.
  --expect-re RE       the same with a regular expression (RE2). A binary message
                       is compared as hex. All done, the command ends
  --timeout D          30s by default, for all that and for the delivery
  --wait D             how long answers are awaited at the end where nothing is
                       expected, 1s by default
  --record FILE        writes all messages to a new file, as lines of JSON. They may
                       hold secrets: the file is for its owner alone
  --replay FILE        sends what a record has as sent, with the same gaps
  --speed N            N times as fast
  --interactive        go on with the standard input after --send and --replay
  Without --send, --expect and --replay each line of the standard input is a
  message, and the command ends after the last one.

Else:
  --no-history         neither reads nor writes the history of lines, which is the
                       file holdfast/history in the user's configuration folder.
                       A line that begins with a space is not kept
  --quiet              no states on the standard error, only errors

In a terminal: /help, /stats, /reconnect and /close [CODE [REASON]] are commands;
//text sends /text. With --json a line that begins JSON and does not end it goes on
in the next one. A paste of several lines is as many messages, none of them a command.
Ctrl-C and Ctrl-D close with 1000, after all that was sent.

Exit codes: 0 all was sent, and what was expected has arrived; 1 the connection
ended by an error, or that did not happen; 2 a wrong flag; 130 stopped by Ctrl-C or
SIGTERM.
`
