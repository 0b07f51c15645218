//! `exorelay man` and `exorelay completions`.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{assert_complains, assert_exit, exorelay, stdout};

#[test]
fn page_tells_of_every_command_and_how_each_ends() {
    let output = exorelay(&["man"]).output().unwrap();
    assert_exit(&output, 0);
    let page = stdout(&output);
    for part in [
        ".TH EXORELAY 1",
        ".SH NAME\nexorelay \\- A local SMTP relay",
        ".SH SYNOPSIS",
        ".SH ENVIRONMENT",
        ".SH FILES",
        ".SH \"EXIT STATUS\"",
        "\\fB78\\fR\nThe settings cannot be used",
        ".SH \"SEE ALSO\"",
        "\\fBexorelay.toml\\fR(5)",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let commands = exorelay::cli::arguments();
    for command in commands.get_subcommands() {
        let name = format!("exorelay-{}", command.get_name()).replace('-', "\\-");
        assert!(page.contains(&format!("\n{name}(1)\n")), "{name} in {page}");
    }
}

/// The names of the pages: `exorelay`, and each command below it with a dash before its name.
fn expected(command: &clap::Command, name: &str, names: &mut Vec<String>) {
    names.push(format!("{name}.1"));
    for below in command.get_subcommands() {
        expected(below, &format!("{name}-{}", below.get_name()), names);
    }
}

#[test]
fn folder_gets_a_page_for_each_command() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("share/man1");
    let directory = directory.to_str().unwrap();
    let output = exorelay(&["man", "--directory", directory])
        .output()
        .unwrap();
    assert_exit(&output, 0);

    let mut names = Vec::new();
    expected(&exorelay::cli::arguments(), "exorelay", &mut names);
    names.push("exorelay.toml.5".to_owned());
    let said = format!("{} pages in {directory}\n", names.len());
    assert_eq!(stdout(&output), said);
    let mut found = listing(directory);
    names.sort();
    found.sort();
    assert_eq!(found, names);

    let read = |name: &str| std::fs::read_to_string(Path::new(directory).join(name)).unwrap();
    let list = read("exorelay-queue-list.1");
    assert!(
        list.contains("[\\fB\\-\\-older\\-than\\fR\\ \\fIAGE\\fR]"),
        "{list}"
    );
    assert!(list.contains("(ready, sending, deferred"), "{list}");
    assert!(
        list.contains("\\fBexorelay\\-queue\\-show\\fR(1)"),
        "{list}"
    );
    // clap knows nothing of its options.
    let sendmail = read("exorelay-sendmail.1");
    assert!(
        sendmail.contains(".TP\n\\fB\\-i, \\-oi\\fR\n"),
        "{sendmail}"
    );
    assert!(sendmail.contains(".TP\n\\fB67\\fR\n"), "{sendmail}");

    let again = exorelay(&["man", "--directory", directory])
        .output()
        .unwrap();
    assert_exit(&again, 0);
    let file = Path::new(directory).join("exorelay.1");
    let mut inside = exorelay(&["man", "--directory", file.to_str().unwrap()]);
    let inside = inside.output().unwrap();
    assert_complains(&inside, 1, &["cannot make", "exorelay.1"]);
}

fn listing(directory: &str) -> Vec<String> {
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
    let entries = std::fs::read_dir(directory).unwrap();
    entries
        .map(|entry| name(entry).into_string().unwrap())
        .collect()
}

/// What a script answers to the shell itself; none where there is no such shell.
fn run(shell: &str, script: &str) -> Option<String> {
    let mut command = Command::new(shell);
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => panic!("{shell}: {error}"),
    };
    child
        .stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_exit(&output, 0);
    Some(stdout(&output).to_owned())
}

fn completions(shell: &str) -> String {
    let output = exorelay(&["completions", shell]).output().unwrap();
    assert_exit(&output, 0);
    stdout(&output).to_owned()
}

#[test]
fn bash_completes_commands_options_and_values() {
    let script = completions("bash");
    for (line, candidates) in [
        (&["exorelay", "q"][..], "queue"),
        (&["exorelay", "queue", "re"], "retry release"),
        (&["exorelay", "queue", "list", "--old"], "--older-than"),
        (
            &["exorelay", "queue", "list", "--state", "de"],
            "deferred delivered",
        ),
        (&["exorelay", "completions", "f"], "fish"),
    ] {
        let last = line.len() - 1;
        let asked = format!(
            "{script}\nCOMP_WORDS=({})\nCOMP_CWORD={last}\n_exorelay exorelay '{}' '{}'\necho ${{COMPREPLY[*]}}\n",
            line.join(" "),
            line[last],
            line[last - 1],
        );
        if let Some(answer) = run("bash", &asked) {
            assert_eq!(answer.trim(), candidates, "{line:?}");
        }
    }
}

#[test]
fn fish_completes_commands_and_options() {
    let script = completions("fish");
    for (line, candidate) in [
        ("exorelay qu", "queue\t"),
        ("exorelay queue li", "list\t"),
        ("exorelay queue list --old", "--older-than\t"),
    ] {
        if let Some(answer) = run("fish", &format!("{script}\ncomplete -C '{line}'\n")) {
            assert!(answer.starts_with(candidate), "{line}: {answer}");
        }
    }
}

#[test]
fn zsh_takes_its_completions() {
    let script = completions("zsh");
    assert!(script.starts_with("#compdef exorelay\n"), "{script}");
    assert!(script.contains("--older-than="), "{script}");
    // What completes needs a terminal; that it is a script does not.
    let read = format!("exorelay_completions() {{\n{script}\n}}\nprint read\n");
    if let Some(answer) = run("zsh", &read) {
        assert_eq!(answer, "read\n");
    }
}

#[test]
fn other_shells_are_refused() {
    let output = exorelay(&["completions", "tcsh"]).output().unwrap();
    assert_complains(&output, 2, &["tcsh", "bash, zsh, fish"]);
}
