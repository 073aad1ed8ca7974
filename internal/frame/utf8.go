package frame

import "unicode/utf8"

// textCheck checks text that comes in pieces. What cannot become UTF-8 any
// more is found with the byte that spoils it.
type textCheck struct {
	part [utf8.UTFMax]byte // the character that the last piece cut
	n    int
}

// add takes the next piece and says whether all is well so far.
func (t *textCheck) add(p []byte) bool {
	for t.n > 0 && len(p) > 0 {
		t.part[t.n] = p[0]
		t.n++
		p = p[1:]
		if !utf8.FullRune(t.part[:t.n]) {
			continue
		}
		if _, size := utf8.DecodeRune(t.part[:t.n]); size != t.n {
			return false
		}
		t.n = 0
	}
	cut := len(p)
	for i := cut - 1; i >= 0 && i >= cut-(utf8.UTFMax-1); i-- {
		if utf8.RuneStart(p[i]) {
			if !utf8.FullRune(p[i:]) {
				cut = i
			}
			break
		}
	}
	if !utf8.Valid(p[:cut]) {
		return false
	}
	if cut < len(p) {
		t.n = copy(t.part[:], p[cut:])
	}
	return true
}

// end says whether the text may end here.
func (t *textCheck) end() bool { return t.n == 0 }
