//! What is given back, in a real Redis.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test may stop at the first surprise, and waits for servers"
)]

mod common;
#[path = "../src/remote/scripts.rs"]
mod scripts;

use common::Server;
use redis::AsyncTypedCommands;

#[tokio::test]
async fn a_draw_is_given_back_to_its_own_window_only() {
    let server = Server::start(&[]).await;
    let mut redis = server.connection().await;
    let scripts = scripts::Scripts::new();
    // Period of the window in ms (0: none), what happens before the draw is given back -> used then.
    type Happens = Option<(&'static str, i64)>;
    let cases: [(u64, Happens, Option<i64>); 8] = [
        (60_000, None, Some(3)),
        (0, None, Some(3)),
        // The period became shorter.
        (60_000, Some(("PEXPIRE", 10_000)), Some(3)),
        // It ended, and another one has begun: with a later end.
        (60_000, Some(("PEXPIRE", 60_100)), Some(5)),
        (60_000, Some(("PERSIST", 0)), Some(5)),
        // It ended, or was reset.
        (60_000, Some(("DEL", 0)), None),
        (0, Some(("DEL", 0)), None),
        // It was reset, and begun anew by one.
        (0, Some(("SET", 1)), Some(0)),
    ];
    for (number, (per, happens, used)) in cases.into_iter().enumerate() {
        let key = format!("counter-{number}");
        let mut draw = scripts.draw.key(&key);
        let draw = draw.arg("member").arg(1).arg("c").arg(100).arg(per).arg(3).arg(0);
        let answer: Vec<i64> = draw.invoke_async(&mut redis).await.unwrap();
        let [0, time, 3, left] = answer[..] else { panic!("{answer:?}") };
        assert_eq!(left, if per == 0 { -1 } else { 60_000 });
        let ends = if left < 0 { -1 } else { time + left };
        redis.incr(&key, 2).await.unwrap();
        if let Some((command, argument)) = happens {
            let mut happens = redis::cmd(command);
            happens.arg(&key);
            if argument > 0 {
                happens.arg(argument);
            }
            happens.exec_async(&mut redis).await.unwrap();
        }
        let mut back = scripts.give_back.key(&key);
        let back = back.arg("member").arg("c").arg(2).arg(ends);
        back.invoke_async::<i64>(&mut redis).await.unwrap();
        let now = redis.get(&key).await.unwrap().map(|text| text.parse::<i64>().unwrap());
        assert_eq!(now, used, "{per} {happens:?}");
    }
}
