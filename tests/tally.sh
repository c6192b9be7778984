# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Counts what passed and what failed. For tools/test and .ci/run, which read it in.

tally_passed=0
tally_failed=0
tally_names=()

tally_add() {
	tally_passed=$((tally_passed + $2))
	tally_failed=$((tally_failed + $3))
	[ "$3" = 0 ] || tally_names+=("$1")
	echo "== $1: $2 passed, $3 failed ($((SECONDS - tally_begin)) s)"
}

# tally_check NAME COMMAND...: one check, whose status is returned; its output is shown if it fails.
tally_check() {
	local name=$1 log status=0
	shift
	tally_begin=$SECONDS
	log=$(mktemp)
	"$@" >"$log" 2>&1 || status=1
	[ "$status" = 0 ] || cat "$log"
	rm -f "$log"
	tally_add "$name" $((1 - status)) "$status"
	return "$status"
}

# tally_ctest NAME BUILD_DIR ARGUMENT...: what ctest runs. A test that was skipped has not passed, nor has a tier without tests.
tally_ctest() {
	local name=$1 build=$2 report counts total failed
	shift 2
	tally_begin=$SECONDS
	report=$(mktemp)
	ctest --test-dir "$build" --output-on-failure --no-tests=error --output-junit "$report" "$@" ||
		echo "ctest says that $name failed" >&2
	counts=$(sed -n '/<testsuite/,/>/p' "$report")
	total=$(tally_attribute tests "$counts")
	failed=$(($(tally_attribute failures "$counts") + $(tally_attribute skipped "$counts") +
		$(tally_attribute disabled "$counts")))
	rm -f "$report"
	[ "$total" -gt 0 ] || failed=1 total=1
	tally_add "$name" $((total - failed)) "$failed"
}

tally_attribute() {
	local value
	value=$(sed -n "s/.*[^a-z]$1=\"\([0-9]*\)\".*/\1/p" <<<"$2" | head -n 1)
	echo "${value:-0}"
}

# tally_script NAME COMMAND...: a script that ends with the line of tally_end.
tally_script() {
	local name=$1 log last
	shift
	tally_begin=$SECONDS
	log=$(mktemp)
	"$@" 2>&1 | tee "$log" || true
	last=$(tail -n 1 "$log")
	rm -f "$log"
	if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
		tally_add "$name" "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
	else
		tally_add "$name" 0 1
	fi
}

# The last line, and the status.
tally_end() {
	local name
	for name in ${tally_names[@]+"${tally_names[@]}"}; do
		echo "FAILED: $name"
	done
	echo "$tally_passed passed, $tally_failed failed"
	[ "$tally_failed" = 0 ] && [ "$tally_passed" -gt 0 ]
}
