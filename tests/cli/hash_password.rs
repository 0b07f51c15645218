//! `hash-password`.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use crate::bench::exorelay;

const START: &str = "$argon2id$v=19$m=19456,t=2,p=1$";

fn with_input(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = exorelay(&[&["hash-password"], arguments].concat());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_line_of_input_becomes_a_hash() {
    let output = with_input(&[], b"hunter2\n");
    let first = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && first.starts_with(START),
        "{first}"
    );
    assert_eq!(first.lines().count(), 1);
    let output = with_input(&["--user", "lobby printer"], b"hunter2");
    let second = String::from_utf8(output.stdout).unwrap();
    let hash = second.strip_prefix("lobby printer:").unwrap();
    assert!(hash.starts_with(START) && hash != first, "{second}");
}

#[test]
fn what_no_device_could_send_is_refused() {
    let long = "x".repeat(1001);
    for (arguments, input, code, words) in [
        (vec![], "\n", 1, "is empty"),
        (vec![], "", 1, "is empty"),
        (vec![], "a\tb\n", 1, "control characters"),
        (vec![], long.as_str(), 1, "too long"),
        (vec!["--user", "a:b"], "x\n", 2, "holds a colon"),
        (vec!["--user", ""], "x\n", 2, "is empty"),
    ] {
        let output = with_input(&arguments, input.as_bytes());
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{errors}");
        assert!(
            errors.contains(words) && output.stdout.is_empty(),
            "{errors}"
        );
    }
}

/// Runs the program at a terminal of its own, answers each `: ` with the next line, and prints the exit code and all
/// that was seen there.
const AT_A_TERMINAL: &str = "
import os, pty, sys
answers = sys.argv[1].split(',')
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[2], sys.argv[2:])
seen = b''
while True:
    try:
        octets = os.read(terminal, 4096)
    except OSError:
        break
    if not octets:
        break
    seen += octets
    if octets.endswith(b': ') and answers:
        answer = answers.pop(0)
        os.write(terminal, b'\\x03' if answer == '^C' else answer.encode() + b'\\n')
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(code)
print(seen.decode())
";

fn at_a_terminal(answers: &str) -> (String, String) {
    let program = exorelay(&["hash-password"]);
    let output = Command::new("python3")
        .args(["-c", AT_A_TERMINAL, answers])
        .arg(program.get_program())
        .args(program.get_args())
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let (code, seen) = shown.split_once('\n').unwrap();
    (code.to_owned(), seen.to_owned())
}

#[test]
fn a_terminal_is_asked_twice_and_shows_nothing() {
    let (code, seen) = at_a_terminal("hunter2,hunter2");
    assert!(code == "0" && seen.contains(START), "{code} {seen}");
    assert!(!seen.contains("hunter2"), "{seen}");
    assert!(
        seen.starts_with("Password: \r\nThe same again: \r\n"),
        "{seen:?}"
    );

    let (code, seen) = at_a_terminal("hunter2,hunter3");
    assert!(
        code == "1" && seen.contains("was not the same"),
        "{code} {seen}"
    );
    assert!(!seen.contains("hunter") && !seen.contains(START), "{seen}");

    let (code, seen) = at_a_terminal("^C");
    assert!(
        code == "1" && seen.contains("nothing was hashed"),
        "{code} {seen}"
    );
}
