//! `status`.

use serde_json::{Value, json};

use crate::bench::{Bench, answer, ask, assert_exit, close, stderr, stdout, submit};

#[tokio::test]
async fn status_tells_whether_a_daemon_runs() {
    let bench = Bench::new();
    let queue = bench.queue();
    submit(&queue, "default").await;

    let stop = answer(&bench, &queue).await;
    let output = ask(&bench, &["status"]).await;
    assert_exit(&output, 0);
    let text = stdout(&output);
    assert!(
        text.starts_with("exorelay 0.1.0 on relay.contoso.local, process 4711, up "),
        "{text}"
    );
    assert!(
        text.contains("queue: 1 message waits (1 ready), the oldest for "),
        "{text}"
    );
    let output = ask(&bench, &["status", "--json"]).await;
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["running"], true);
    assert_eq!(json["queue"]["counts"]["default"]["ready"], 1);
    let commits = &json["queue"]["commits"];
    assert_eq!(
        (&commits["count"], &commits["messages"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(commits["by_messages"][1], json!({"at_most": 1, "count": 1}));
    stop.cancel();
    while bench.socket().exists() {
        tokio::task::yield_now().await;
    }

    let output = ask(&bench, &["status"]).await;
    assert_exit(&output, 75);
    assert!(
        stderr(&output).contains("a daemon holds "),
        "{}",
        stderr(&output)
    );
    close(queue).await;

    let output = ask(&bench, &["status"]).await;
    assert_exit(&output, 1);
    assert!(
        stdout(&output).starts_with("queue: 1 message waits"),
        "{}",
        stdout(&output)
    );
    assert!(
        stderr(&output).contains("no daemon runs"),
        "{}",
        stderr(&output)
    );
    let output = ask(&bench, &["status", "--json"]).await;
    assert_exit(&output, 1);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["running"], false);
    assert_eq!(json["queue"]["counts"]["default"]["ready"], 1);
}
