# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Counts what passed and what failed. For tools/test and .ci/run, which read it in. What failed is said once more at the end,
# with its reason: of a long log often only the end is kept.

tally_passed=0
tally_failed=0
tally_names=()
tally_reasons=()
tally_heading="== what failed"

# tally_add NAME PASSED FAILED REASON
tally_add() {
	tally_passed=$((tally_passed + $2))
	tally_failed=$((tally_failed + $3))
	[ "$3" = 0 ] || {
		tally_names+=("$1")
		tally_reasons+=("$4")
	}
	echo "== $1: $2 passed, $3 failed ($((SECONDS - tally_begin)) s)"
}

# tally_check NAME COMMAND...: one check, whose status is returned; its output is shown if it fails.
tally_check() {
	local name=$1 log status=0 reason=""
	shift
	tally_begin=$SECONDS
	log=$(mktemp)
	"$@" >"$log" 2>&1 || status=1
	[ "$status" = 0 ] || {
		cat "$log"
		reason=$(tail -n 30 "$log")
	}
	rm -f "$log"
	tally_add "$name" $((1 - status)) "$status" "$reason"
	return "$status"
}

# Of a report of ctest: the tests that did not pass, each with the end of its output.
# shellcheck disable=SC2016
tally_broken='
	function show(i) {
		if (!bad)
			return
		print "--- " name
		for (i = n > 25 ? n - 25 : 0; i < n; i++)
			print lines[i]
	}
	/<testcase / {
		name = $0; sub(/.* name="/, "", name); sub(/".*/, "", name)
		bad = /status="(fail|notrun|disabled)"/
		n = 0
		inside = 0
	}
	/<\/testcase>/ { show(); bad = 0 }
	bad {
		line = $0
		if (line ~ /<(failure|skipped) message="/) {
			message = line; sub(/.*message="/, "", message); sub(/".*/, "", message)
			if (message != "")
				lines[n++] = message
		}
		if (line ~ /<system-out>/) { inside = 1; sub(/.*<system-out>/, "", line) }
		end = line ~ /<\/system-out>/
		sub(/<\/system-out>.*/, "", line)
		if (inside && line != "") {
			gsub(/&lt;/, "<", line); gsub(/&gt;/, ">", line); gsub(/&quot;/, "\"", line); gsub(/&amp;/, "\\&", line)
			lines[n++] = line
		}
		if (end)
			inside = 0
	}
'

# tally_ctest NAME BUILD_DIR ARGUMENT...: what ctest runs. A test that was skipped has not passed, nor has a tier without tests.
tally_ctest() {
	local name=$1 build=$2 report counts total failed reason
	shift 2
	tally_begin=$SECONDS
	report=$(mktemp)
	ctest --test-dir "$build" --output-on-failure --no-tests=error --output-junit "$report" "$@" ||
		echo "ctest says that $name failed" >&2
	counts=$(sed -n '/<testsuite/,/>/p' "$report")
	total=$(tally_attribute tests "$counts")
	failed=$(($(tally_attribute failures "$counts") + $(tally_attribute skipped "$counts") +
		$(tally_attribute disabled "$counts")))
	reason=$(awk "$tally_broken" "$report" | tail -n 60)
	rm -f "$report"
	[ "$total" -gt 0 ] || failed=1 total=1 reason="there are no tests"
	tally_add "$name" $((total - failed)) "$failed" "$reason"
}

tally_attribute() {
	local value
	value=$(sed -n "s/.*[^a-z]$1=\"\([0-9]*\)\".*/\1/p" <<<"$2" | head -n 1)
	echo "${value:-0}"
}

# tally_script NAME COMMAND...: a script that ends with the lines of tally_end.
tally_script() {
	local name=$1 log last
	shift
	tally_begin=$SECONDS
	log=$(mktemp)
	"$@" 2>&1 | tee "$log" || true
	last=$(tail -n 1 "$log")
	if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
		tally_add "$name" "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" "$(sed "1,/^$tally_heading\$/d; \$d" "$log")"
	else
		tally_add "$name" 0 1 "$(tail -n 30 "$log")"
	fi
	rm -f "$log"
}

# The last lines, and the status.
tally_end() {
	local i
	[ "$tally_failed" = 0 ] || echo "$tally_heading"
	for i in ${tally_names[@]+"${!tally_names[@]}"}; do
		echo "--- ${tally_names[i]}:"
		[ -z "${tally_reasons[i]}" ] || echo "${tally_reasons[i]}"
	done
	for i in ${tally_names[@]+"${!tally_names[@]}"}; do
		echo "FAILED: ${tally_names[i]}"
	done
	echo "$tally_passed passed, $tally_failed failed"
	[ "$tally_failed" = 0 ] && [ "$tally_passed" -gt 0 ]
}
