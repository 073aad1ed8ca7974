package connect

import (
	"slices"
	"strings"
	"unicode"
)

// The editor takes each character for one column. So while a line is edited a tab
// is a character of one column, and one that takes two columns is followed by
// another that is not shown. After a key that may have taken such a pair apart
// comes one more, which makes the editor call repair. All of these stand-ins are
// for private use (Unicode, section 23.5), and cannot be entered.
const (
	tabRune  = '\ue009'
	fillRune = '\ue00a'

	afterLeft   = '\ue00b'
	afterRight  = '\ue00c'
	afterBack   = '\ue00d'
	afterDelete = '\ue00e'
)

const (
	ctrlA = 1
	ctrlB = 2
	ctrlC = 3
	ctrlD = 4
	ctrlE = 5
	ctrlF = 6
	ctrlH = 8
	ctrlT = 20
	del   = 0x7f
)

func standIn(r rune) bool { return tabRune <= r && r <= afterDelete }

// edited is text as the editor has it.
func edited(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\t':
			b.WriteRune(tabRune)
		case standIn(r):
		default:
			b.WriteRune(r)
			if unicode.Is(wide, r) {
				b.WriteRune(fillRune)
			}
		}
	}
	return b.String()
}

// entered is a line of the editor as text.
func entered(line string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == tabRune:
			return '\t'
		case standIn(r):
			return -1
		}
		return r
	}, line)
}

// repairAfter is what follows the key that the last bytes typed are; 0 for nothing.
func repairAfter(last [4]byte) rune {
	if last[1] == 0x1b && last[2] == '[' {
		switch last[3] {
		case 'C':
			return afterRight
		case 'D':
			return afterLeft
		}
	}
	if last[0] == 0x1b && last[1] == '[' && last[3] == '~' {
		switch last[2] {
		case '1', '7': // Home of some terminals, which the editor does not know
			return ctrlA
		case '4', '8': // End
			return ctrlE
		case '3':
			return afterDelete
		}
	}
	switch last[3] {
	case ctrlB:
		return afterLeft
	case ctrlF:
		return afterRight
	case ctrlH, del:
		return afterBack
	case ctrlD:
		return afterDelete
	}
	return 0
}

// repair is called by the editor for each key that edits nothing by itself. It
// does the other half of what was done to a character of two columns.
func repair(line string, at int, key rune) (string, int, bool) {
	if key < afterLeft || key > afterDelete {
		return "", 0, false
	}
	left, right := []rune(line[:at]), []rune(line[at:])
	inside := len(right) > 0 && right[0] == fillRune
	switch {
	case key == afterLeft && inside:
		right = slices.Insert(right, 0, left[len(left)-1])
		left = left[:len(left)-1]
	case key == afterRight && inside:
		left, right = append(left, fillRune), right[1:]
	case key == afterDelete && inside:
		right = right[1:]
	case key == afterBack && !inside && len(left) > 0 && unicode.Is(wide, left[len(left)-1]):
		left = left[:len(left)-1]
	}
	return string(left) + string(right), len(string(left)), true
}

// wide is the characters of two columns: those that are wide or full-width (UAX
// #11), emoji among them.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x1100, 0x115f, 1}, {0x231a, 0x231b, 1}, {0x2329, 0x232a, 1}, {0x23e9, 0x23ec, 1}, {0x23f0, 0x23f3, 3},
		{0x25fd, 0x25fe, 1}, {0x2614, 0x2615, 1}, {0x2648, 0x2653, 1}, {0x267f, 0x2693, 20}, {0x26a1, 0x26a1, 1},
		{0x26aa, 0x26ab, 1}, {0x26bd, 0x26be, 1}, {0x26c4, 0x26c5, 1}, {0x26ce, 0x26d4, 6}, {0x26ea, 0x26ea, 1},
		{0x26f2, 0x26f3, 1}, {0x26f5, 0x26fa, 5}, {0x26fd, 0x2705, 8}, {0x270a, 0x270b, 1}, {0x2728, 0x2728, 1},
		{0x274c, 0x274e, 2}, {0x2753, 0x2755, 1}, {0x2757, 0x2757, 1}, {0x2795, 0x2797, 1}, {0x27b0, 0x27bf, 15},
		{0x2b1b, 0x2b1c, 1}, {0x2b50, 0x2b55, 5}, {0x2e80, 0x303e, 1}, {0x3041, 0x4dbf, 1}, {0x4e00, 0xa4cf, 1},
		{0xa960, 0xa97f, 1}, {0xac00, 0xd7a3, 1}, {0xf900, 0xfaff, 1}, {0xfe10, 0xfe19, 1}, {0xfe30, 0xfe6f, 1},
		{0xff00, 0xff60, 1}, {0xffe0, 0xffe6, 1},
	},
	R32: []unicode.Range32{
		{0x1f004, 0x1f004, 1}, {0x1f0cf, 0x1f0cf, 1}, {0x1f18e, 0x1f18e, 1}, {0x1f191, 0x1f19a, 1}, {0x1f200, 0x1f320, 1},
		{0x1f32d, 0x1f335, 1}, {0x1f337, 0x1f37c, 1}, {0x1f37e, 0x1f393, 1}, {0x1f3a0, 0x1f3ca, 1}, {0x1f3cf, 0x1f3d3, 1},
		{0x1f3e0, 0x1f3f0, 1}, {0x1f3f4, 0x1f3f4, 1}, {0x1f3f8, 0x1f43e, 1}, {0x1f440, 0x1f440, 1}, {0x1f442, 0x1f4fc, 1},
		{0x1f4ff, 0x1f53d, 1}, {0x1f54b, 0x1f54e, 1}, {0x1f550, 0x1f567, 1}, {0x1f57a, 0x1f57a, 1}, {0x1f595, 0x1f596, 1},
		{0x1f5a4, 0x1f5a4, 1}, {0x1f5fb, 0x1f64f, 1}, {0x1f680, 0x1f6c5, 1}, {0x1f6cc, 0x1f6cc, 1}, {0x1f6d0, 0x1f6d2, 1},
		{0x1f6d5, 0x1f6d7, 1}, {0x1f6dc, 0x1f6df, 1}, {0x1f6eb, 0x1f6ec, 1}, {0x1f6f4, 0x1f6fc, 1}, {0x1f7e0, 0x1f7eb, 1},
		{0x1f7f0, 0x1f7f0, 1}, {0x1f90c, 0x1f93a, 1}, {0x1f93c, 0x1f945, 1}, {0x1f947, 0x1f9ff, 1}, {0x1fa70, 0x1faff, 1},
		{0x20000, 0x3fffd, 1},
	},
}
