package holdfast

import "strconv"

// State is what a Conn is doing.
type State int

const (
	// StateConnecting: an attempt is under way. It ends in Connected, Waiting,
	// Offline, Closing or, when a retry cannot help, Closed.
	StateConnecting State = iota
	// StateConnected: messages flow. It ends in Waiting, Connecting (a redial
	// that costs nothing), Offline, Closing or Closed.
	StateConnected
	// StateWaiting: the delay before the next attempt runs. It ends in
	// Connecting, Offline or Closing.
	StateWaiting
	// StateOffline: this host has no way to the server; nothing is dialled
	// but a probe every 30 s. It ends in Connecting, Connected (the probe got
	// through), Waiting (the probe got an answer, or a Retry-After still runs),
	// Closed (the answer was final), or Closing.
	StateOffline
	// StateClosing: Close was called and what was accepted is being sent. It
	// ends in Closed within CloseTimeout.
	StateClosing
	// StateClosed is final.
	StateClosed
)

var stateNames = [...]string{"connecting", "connected", "waiting", "offline", "closing", "closed"}

// String returns the state's name in lower case.
func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return "State(" + strconv.Itoa(int(s)) + ")"
	}
	return stateNames[s]
}

// input is what ends a state.
type input int

const (
	inputUp      input = iota // a link is ready
	inputFailed               // an attempt failed or a link was lost: wait, then try again
	inputRedial               // drop what there is and dial now, at no cost
	inputOffline              // no way to the server
	inputDial                 // the wait is over, or the way is back
	inputClose                // Close was called
	inputStop                 // it is over
	inputs
)

var inputNames = [inputs]string{"up", "failed", "redial", "offline", "dial", "close", "stop"}

func (in input) String() string { return inputNames[in] }

// never marks a pair of state and input that cannot happen.
const never State = -1

// transitions is the whole life of a Conn: the next state by state and input.
var transitions = [...][inputs]State{
	StateConnecting: {inputUp: StateConnected, inputFailed: StateWaiting, inputRedial: StateConnecting, inputOffline: StateOffline, inputDial: never, inputClose: StateClosing, inputStop: StateClosed},
	StateConnected:  {inputUp: never, inputFailed: StateWaiting, inputRedial: StateConnecting, inputOffline: StateOffline, inputDial: never, inputClose: StateClosing, inputStop: StateClosed},
	StateWaiting:    {inputUp: never, inputFailed: never, inputRedial: StateConnecting, inputOffline: StateOffline, inputDial: StateConnecting, inputClose: StateClosing, inputStop: never},
	StateOffline:    {inputUp: StateConnected, inputFailed: StateWaiting, inputRedial: StateConnecting, inputOffline: never, inputDial: StateConnecting, inputClose: StateClosing, inputStop: StateClosed},
	StateClosing:    {inputUp: never, inputFailed: never, inputRedial: never, inputOffline: never, inputDial: never, inputClose: never, inputStop: StateClosed},
	StateClosed:     {inputUp: never, inputFailed: never, inputRedial: never, inputOffline: never, inputDial: never, inputClose: never, inputStop: never},
}

// next is the pure step; ok is false for a pair that cannot happen.
func (s State) next(in input) (_ State, ok bool) {
	to := transitions[s][in]
	return to, to != never
}
