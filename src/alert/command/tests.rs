use std::path::Path;

use tempfile::TempDir;

use super::*;

fn shell(script: &str, arguments: &[&Path]) -> Command {
    let mut words = vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()];
    words.push("alarm".to_owned());
    words.extend(arguments.iter().map(|path| path.display().to_string()));
    Command::new(words).unwrap()
}

#[tokio::test]
async fn the_program_gets_the_notice_and_little_else() {
    let folder = TempDir::new().unwrap();
    let (given, environment) = (folder.path().join("given"), folder.path().join("env"));
    let command = shell(r#"cat > "$1"; env > "$2""#, &[&given, &environment]);
    command.carry(b"{\"id\":1}".to_vec()).await.unwrap();
    assert_eq!(std::fs::read_to_string(given).unwrap(), "{\"id\":1}\n");
    let environment = std::fs::read_to_string(environment).unwrap();
    assert!(environment.contains("PATH="));
    // What the shell adds by itself.
    let added = ["PWD", "SHLVL", "_", "OLDPWD"];
    for name in environment.lines().filter_map(|line| line.split_once('=')) {
        let known = VARIABLES.contains(&name.0) || added.contains(&name.0);
        assert!(known, "{name:?}");
    }
}

#[tokio::test]
async fn a_program_that_does_not_listen_or_talks_without_end_is_no_trouble() {
    let deaf = shell("exec 0<&-; exit 0", &[]);
    deaf.carry(vec![b'x'; 1_000_000]).await.unwrap();
    let loud = shell("head -c 1000000 /dev/zero; echo gone >&2; exit 3", &[]);
    let error = loud.carry(Vec::new()).await.unwrap_err().to_string();
    assert!(error.contains("exit status: 3: gone"), "{error}");
}

#[tokio::test]
async fn what_it_leaves_running_holds_nobody_up() {
    let folder = TempDir::new().unwrap();
    let number = folder.path().join("number");
    let command = shell(r#"sleep 600 & echo $! > "$1""#, &[&number]);
    command.carry(Vec::new()).await.unwrap();
    let sleeper = process(&number);
    assert!(is_alive(sleeper), "it was meant to go on");
    rustix::process::kill_process(sleeper, Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_program_that_hangs_is_killed_with_all_it_has_started() {
    let folder = TempDir::new().unwrap();
    let number = folder.path().join("number");
    let mut command = shell(r#"sleep 600 & echo $! > "$1"; wait"#, &[&number]);
    // From when it has begun to hang.
    command.time_max = Duration::from_hours(1);
    let carried = command.carry(Vec::new());
    tokio::pin!(carried);
    while !std::fs::read_to_string(&number).is_ok_and(|text| text.ends_with('\n')) {
        let wait = timeout(Duration::from_millis(5), &mut carried);
        assert!(wait.await.is_err(), "it hangs");
    }
    tokio::time::pause();
    let error = carried.await.unwrap_err();
    assert!(error.to_string().contains("killed after 3600s"), "{error}");
    tokio::time::resume();
    let sleeper = process(&number);
    while is_alive(sleeper) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let command = Command::new(vec!["/no/such/program".into(), "hunter2".into()]).unwrap();
    let error = command.carry(Vec::new()).await.unwrap_err();
    let shown = format!("{error} {error:?} {command:?}");
    assert!(shown.contains("/no/such/program cannot be run"), "{shown}");
    assert!(!shown.contains("hunter2"));
    assert!(Command::new(Vec::new()).is_none());
}

fn process(number: &Path) -> Pid {
    let number = std::fs::read_to_string(number).unwrap();
    Pid::from_raw(number.trim().parse().unwrap()).unwrap()
}

/// Whether it runs: one that was killed may wait for somebody to notice.
fn is_alive(process: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    stat.is_ok_and(|stat| !stat.contains(") Z ") && !stat.contains(") X "))
}
