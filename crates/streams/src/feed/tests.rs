use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;

use super::*;
use crate::message::Message;
use crate::testing::Random;

/// A feed with what was published to it and what became of that.
struct Bench {
    feed: Arc<Feed>,
    publishing: VecDeque<Pin<Box<dyn Future<Output = ()>>>>,
    // By first message of the batch: how often its ack was resolved, and how.
    acks: Arc<Mutex<HashMap<u64, Vec<bool>>>>,
    sizes: HashMap<u64, u64>,
    next: u64,
}

impl Bench {
    fn new(options: FeedOptions) -> Bench {
        let feed = Feed::new(options, 7);
        Bench { feed, publishing: VecDeque::new(), acks: Arc::default(), sizes: HashMap::new(), next: 0 }
    }

    fn publish(&mut self, size: u64) {
        let first = self.next;
        let batch: Batch = (0..size).map(|index| Message::new((first + index).to_string())).collect();
        self.next += size;
        self.sizes.insert(first, size);
        let acks = self.acks.clone();
        let ack = Ack::new(move |outcome| acks.lock().entry(first).or_default().push(outcome.is_ok()));
        let feed = self.feed.clone();
        self.publishing.push_back(Box::pin(async move { feed.publish(batch, ack).await }));
        self.run();
    }

    /// Goes on with publishing as far as there is room.
    fn run(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        while let Some(front) = self.publishing.front_mut() {
            if front.as_mut().poll(&mut cx).is_pending() {
                return;
            }
            self.publishing.pop_front();
        }
    }

    fn acked(&self) -> usize {
        self.acks.lock().values().filter(|outcomes| **outcomes == [true]).count()
    }
}

fn poll(subscriber: &mut Subscriber) -> Poll<Option<Delivery>> {
    subscriber.poll_next(&mut Context::from_waker(Waker::noop()))
}

fn value(delivery: &Delivery) -> u64 {
    std::str::from_utf8(delivery.raw()).unwrap().parse().unwrap()
}

/// Everything that is there for a subscriber now.
fn take_all(subscriber: &mut Subscriber) -> Vec<Delivery> {
    let mut all = Vec::new();
    while let Poll::Ready(Some(delivery)) = poll(subscriber) {
        all.push(delivery);
    }
    all
}

fn options(delivery: DeliveryMode, slow: SlowRule, ring: usize) -> FeedOptions {
    FeedOptions { delivery, slow, ring, ..FeedOptions::default() }
}

fn broadcast(slow: SlowRule, ring: usize) -> Bench {
    Bench::new(options(DeliveryMode::Broadcast, slow, ring))
}

fn shared(ring: usize) -> Bench {
    Bench::new(options(DeliveryMode::Shared, SlowRule::Wait, ring))
}

#[test]
fn shared_gives_each_message_to_one_subscriber_whatever_the_order_of_events() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut bench = shared(1 + random.below(8));
        let mut subscribers: Vec<(Subscriber, VecDeque<(u64, u64)>)> = Vec::new();
        let mut confirmed: HashMap<u64, u32> = HashMap::new();
        for _ in 0..300 {
            match random.below(10) {
                0..=2 => bench.publish(1 + random.below(4) as u64),
                3 if subscribers.len() < 6 => {
                    subscribers.push((bench.feed.subscribe(From::Live), VecDeque::new()));
                }
                4 if !subscribers.is_empty() => {
                    let gone = random.below(subscribers.len());
                    subscribers.swap_remove(gone);
                }
                5..=7 if !subscribers.is_empty() => {
                    let at = random.below(subscribers.len());
                    let (subscriber, held) = &mut subscribers[at];
                    if let Poll::Ready(Some(delivery)) = poll(subscriber) {
                        held.push_back((delivery.number(), value(&delivery)));
                    }
                }
                8.. if !subscribers.is_empty() => {
                    let at = random.below(subscribers.len());
                    let (subscriber, held) = &mut subscribers[at];
                    let count = random.below(held.len() + 1);
                    let mut up_to = 0;
                    for (number, value) in held.drain(..count) {
                        *confirmed.entry(value).or_default() += 1;
                        up_to = number;
                    }
                    subscriber.confirm(up_to);
                }
                _ => {}
            }
            bench.run();
            assert!(bench.feed.queued() <= bench.feed.options.ring + 6 * 32, "seed {seed}");
        }
        // Whoever is left leaves; the last subscriber takes all that nobody confirmed.
        subscribers.clear();
        let mut last = bench.feed.subscribe(From::Live);
        loop {
            bench.run();
            let all = take_all(&mut last);
            let Some(newest) = all.last() else { break };
            for delivery in &all {
                *confirmed.entry(value(delivery)).or_default() += 1;
            }
            last.confirm(newest.number());
        }
        assert!((0..bench.next).all(|value| confirmed.get(&value) == Some(&1)), "seed {seed}: {confirmed:?}");
        assert_eq!(bench.acked(), bench.sizes.len(), "seed {seed}");
        assert_eq!(bench.feed.unsettled(), 0, "seed {seed}");
    }
}

#[test]
fn broadcast_gives_all_messages_in_order_to_everyone_and_acks_once() {
    for seed in 0..200 {
        for slow in [SlowRule::Wait, SlowRule::Skip] {
            let mut random = Random::new(seed);
            let mut bench = broadcast(slow, 1 + random.below(8));
            // What each expects next, and the numbers it has not confirmed.
            let mut subscribers: Vec<(Subscriber, u64, VecDeque<u64>)> = Vec::new();
            for _ in 0..300 {
                match random.below(10) {
                    0..=2 => bench.publish(1 + random.below(4) as u64),
                    3 if subscribers.len() < 6 => {
                        let next = bench.feed.state.lock().next;
                        subscribers.push((bench.feed.subscribe(From::Live), next, VecDeque::new()));
                    }
                    4 if !subscribers.is_empty() => {
                        let gone = random.below(subscribers.len());
                        subscribers.swap_remove(gone);
                    }
                    5..=7 if !subscribers.is_empty() => {
                        let at = random.below(subscribers.len());
                        let (subscriber, expected, held) = &mut subscribers[at];
                        if let Poll::Ready(Some(delivery)) = poll(subscriber) {
                            match delivery.missed_messages() {
                                Some(missed) => {
                                    assert_eq!(slow, SlowRule::Skip);
                                    *expected += missed.unwrap();
                                }
                                None => {
                                    assert_eq!(value(&delivery), *expected, "seed {seed}");
                                    *expected += 1;
                                    held.push_back(delivery.number());
                                }
                            }
                        }
                    }
                    8.. if !subscribers.is_empty() => {
                        let at = random.below(subscribers.len());
                        let (subscriber, _, held) = &mut subscribers[at];
                        let count = random.below(held.len() + 1);
                        if let Some(up_to) = held.drain(..count).next_back() {
                            subscriber.confirmer().confirm(up_to);
                        }
                    }
                    _ => {}
                }
                bench.run();
                assert!(bench.feed.queued() <= bench.feed.options.ring, "seed {seed}");
            }
            subscribers.clear();
            bench.run();
            assert!(bench.publishing.is_empty(), "seed {seed}");
            assert_eq!(bench.acked(), bench.sizes.len(), "seed {seed}");
            assert_eq!(bench.feed.unsettled(), 0, "seed {seed}");
        }
    }
}

#[test]
fn broadcast_acks_when_everyone_present_has_passed() {
    let mut bench = broadcast(SlowRule::Wait, 16);
    bench.publish(1);
    assert_eq!(bench.acked(), 1, "with nobody there the ring is enough");
    let mut first = bench.feed.subscribe(From::Live);
    let mut second = bench.feed.subscribe(From::Live);
    bench.publish(2);
    let late = bench.feed.subscribe(From::Live);
    let deliveries = take_all(&mut first);
    first.confirm(deliveries[1].number());
    assert_eq!(bench.acked(), 1);
    let deliveries = take_all(&mut second);
    second.confirm(deliveries[0].number());
    assert_eq!(bench.acked(), 1, "a batch is acked when all of it is");
    second.confirm(deliveries[1].number());
    assert_eq!(bench.acked(), 2);
    drop(late);
    bench.publish(1);
    drop((first, second));
    assert_eq!(bench.acked(), 3, "who leaves is not waited for");
}

#[test]
fn where_subscribers_may_be_skipped_the_first_that_has_a_message_settles_it() {
    let mut bench = broadcast(SlowRule::Skip, 16);
    let mut stuck = bench.feed.subscribe(From::Live);
    let mut quick = bench.feed.subscribe(From::Live);
    bench.publish(2);
    let held = take_all(&mut stuck);
    assert_eq!(bench.acked(), 0, "nobody has it yet");
    let deliveries = take_all(&mut quick);
    quick.confirm(deliveries[0].number());
    assert_eq!(bench.acked(), 0, "a batch is acked when all of it is");
    quick.confirm(deliveries[1].number());
    assert_eq!(bench.acked(), 1);
    stuck.confirm(held[1].number());
    assert_eq!(bench.acked(), 1, "once is enough");
}

#[test]
fn positions_can_be_resumed_within_the_ring() {
    let mut bench = broadcast(SlowRule::Skip, 4);
    let mut subscriber = bench.feed.subscribe(From::Live);
    bench.publish(3);
    let tokens: Vec<String> = take_all(&mut subscriber).iter().map(|d| d.token().unwrap()).collect();
    drop(subscriber);

    let resume = |bench: &Bench, token: &str| {
        let mut subscriber = bench.feed.subscribe(From::Resume(token.to_owned()));
        let all = take_all(&mut subscriber);
        let missed = all.first().and_then(Delivery::missed_messages);
        let values: Vec<u64> = all.iter().filter(|d| d.message().is_some()).map(value).collect();
        (missed, values)
    };
    assert_eq!(resume(&bench, &tokens[0]), (None, vec![1, 2]));
    assert_eq!(resume(&bench, &tokens[2]), (None, vec![]));
    bench.publish(3);
    assert_eq!(resume(&bench, &tokens[1]), (None, vec![2, 3, 4, 5]));
    assert_eq!(resume(&bench, &tokens[0]), (Some(Some(1)), vec![2, 3, 4, 5]));
    let foreign = token::encode(8, 1);
    for token in ["", "nonsense", &foreign, &token::encode(7, 99), "é23456789012345678901"] {
        assert_eq!(resume(&bench, token), (Some(None), vec![2, 3, 4, 5]), "{token}");
    }
}

#[test]
fn a_resumed_subscriber_is_not_waited_for_where_it_was_not_present() {
    let mut bench = broadcast(SlowRule::Wait, 2);
    let mut subscriber = bench.feed.subscribe(From::Live);
    bench.publish(1);
    let token = take_all(&mut subscriber)[0].token().unwrap();
    drop(subscriber);
    bench.publish(2);
    let mut resumed = bench.feed.subscribe(From::Resume(token));
    let deliveries = take_all(&mut resumed);
    assert_eq!(deliveries.iter().map(value).collect::<Vec<_>>(), [1, 2]);
    resumed.confirm(deliveries[1].number());
    assert_eq!(bench.acks.lock().values().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn the_slow_rule_decides_what_a_slow_subscriber_costs() {
    // wait: the stream stands still.
    let mut bench = broadcast(SlowRule::Wait, 2);
    let mut slow = bench.feed.subscribe(From::Live);
    bench.publish(3);
    assert_eq!((bench.publishing.len(), bench.acked()), (1, 0));
    let delivery = take_all(&mut slow).remove(0);
    slow.confirm(delivery.number());
    bench.run();
    assert_eq!(bench.publishing.len(), 0);

    // skip: it is told what it missed, and goes on.
    let mut bench = broadcast(SlowRule::Skip, 2);
    let mut slow = bench.feed.subscribe(From::Live);
    bench.publish(5);
    let all = take_all(&mut slow);
    assert_eq!(all[0].missed_messages(), Some(Some(3)));
    assert_eq!(&**all[0].event_source(), b"event: missed\ndata: {\"missed\":3}\n\n");
    assert_eq!(all[1..].iter().map(value).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(bench.feed.skipped.get(), 3);

    // close: it is closed, the others see nothing of it.
    let mut bench = broadcast(SlowRule::Close, 2);
    let mut slow = bench.feed.subscribe(From::Live);
    bench.publish(3);
    assert!(matches!(poll(&mut slow), Poll::Ready(None)));
    assert_eq!(slow.close_reason(), CloseReason::Slow);
}

#[tokio::test(start_paused = true)]
async fn shared_close_takes_messages_from_whoever_sits_on_them() {
    let feed = Feed::new(options(DeliveryMode::Shared, SlowRule::Close, 1), 7);
    let mut stuck = feed.subscribe(From::Live);
    let publishing = tokio::spawn({
        let feed = feed.clone();
        async move {
            for value in 0..3 {
                feed.publish(vec![Message::new(value.to_string())], Ack::none()).await;
            }
        }
    });
    let held = stuck.next().await.unwrap();
    assert_eq!(value(&held), 0);
    // Nothing but time passes until the stuck one is closed.
    while stuck.confirmer().closed().is_none() {
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let mut other = feed.subscribe(From::Live);
    let mut values = Vec::new();
    while values.len() < 3 {
        let delivery = other.next().await.unwrap();
        other.confirm(delivery.number());
        values.push(value(&delivery));
    }
    // The first one was with the stuck subscriber until it was closed.
    values.sort_unstable();
    assert_eq!(values, [0, 1, 2]);
    publishing.await.unwrap();
    assert_eq!(stuck.confirmer().closed(), Some(CloseReason::Slow));
    assert!(stuck.next().await.is_none());
}

#[test]
fn frames_cannot_be_broken_by_payloads() {
    for (payload, frame) in [
        ("one", "data: one\n\n"),
        ("", "data: \n\n"),
        ("a\nb", "data: a\ndata: b\n\n"),
        ("a\r\nb\rc\n", "data: a\ndata: b\ndata: c\ndata: \n\n"),
        ("x\n\nevent: evil\ndata: y", "data: x\ndata: \ndata: event: evil\ndata: data: y\n\n"),
    ] {
        assert_eq!(&*entry::event(None, None, payload.as_bytes()), frame.as_bytes(), "{payload:?}");
    }
    assert_eq!(&*entry::event(Some("t"), Some("n"), b"p"), b"id: t\nevent: n\ndata: p\n\n");
}

#[test]
fn frames_are_encoded_once_for_all() {
    let mut bench = broadcast(SlowRule::Skip, 16);
    let mut first = bench.feed.subscribe(From::Live);
    let mut second = bench.feed.subscribe(From::Live);
    bench.publish(2);
    let (first, second) = (take_all(&mut first), take_all(&mut second));
    for (one, other) in first.iter().zip(&second) {
        assert_eq!(one.event_source().as_ptr(), other.event_source().as_ptr());
        assert_eq!(one.raw().as_ptr(), other.raw().as_ptr());
        assert_eq!(one.raw_line().as_ptr(), other.raw_line().as_ptr());
    }
    assert_eq!(&**first[0].raw_line(), b"0\n");
    assert_eq!(&**first[1].raw_line(), b"1\n\n", "the end of a batch of several");
    let id = format!("id: {}\ndata: 0\n\n", first[0].token().unwrap());
    assert_eq!(&**first[0].event_source(), id.as_bytes());
}

#[test]
fn a_finished_feed_is_drained_then_ends_with_its_reason() {
    for delivery in [DeliveryMode::Shared, DeliveryMode::Broadcast] {
        let mut bench = Bench::new(options(delivery, SlowRule::Wait, 16));
        let mut subscriber = bench.feed.subscribe(From::Live);
        bench.publish(2);
        bench.feed.finish(CloseReason::Changed);
        let all = take_all(&mut subscriber);
        assert_eq!(all.len(), 2);
        assert!(matches!(poll(&mut subscriber), Poll::Ready(None)));
        assert_eq!(subscriber.close_reason(), CloseReason::Changed);
        subscriber.confirm(2);
        assert_eq!(bench.acked(), 1);
    }
}

#[test]
fn a_cut_feed_nacks_what_is_not_confirmed_once() {
    for delivery in [DeliveryMode::Shared, DeliveryMode::Broadcast] {
        let mut bench = Bench::new(options(delivery, SlowRule::Wait, 2));
        let mut subscriber = bench.feed.subscribe(From::Live);
        for _ in 0..4 {
            bench.publish(1);
        }
        let all = take_all(&mut subscriber);
        subscriber.confirm(1);
        bench.feed.cut(CloseReason::ShuttingDown);
        bench.run();
        subscriber.confirm(all.last().unwrap().number());
        assert!(matches!(poll(&mut subscriber), Poll::Ready(None)));
        assert_eq!(subscriber.close_reason(), CloseReason::ShuttingDown);
        drop(subscriber);
        let acks = bench.acks.lock();
        let outcomes: Vec<&[bool]> = (0..4).map(|first| acks[&first].as_slice()).collect();
        assert_eq!(outcomes, [&[true][..], &[false], &[false], &[false]], "{delivery:?}");
        assert_eq!(bench.feed.unsettled(), 0);
    }
}

#[test]
fn sleepers_that_left_are_forgotten() {
    let feed = Feed::new(FeedOptions::default(), 7);
    for _ in 0..10_000 {
        let mut subscriber = feed.subscribe(From::Live);
        assert!(poll(&mut subscriber).is_pending());
    }
    assert!(feed.state.lock().waiting.len() < 200);
}

#[tokio::test]
async fn a_sleeping_subscriber_is_woken_for_one_message_each_in_shared() {
    let feed = Feed::new(FeedOptions::default(), 7);
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let mut subscriber = feed.subscribe(From::Live);
            tokio::spawn(async move {
                let delivery = subscriber.next().await.unwrap();
                subscriber.confirm(delivery.number());
                value(&delivery)
            })
        })
        .collect();
    tokio::task::yield_now().await;
    let batch = (0..3).map(|value| Message::new(value.to_string())).collect();
    feed.publish(batch, Ack::none()).await;
    let mut got = Vec::new();
    for waiting in waiting {
        got.push(tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap().unwrap());
    }
    got.sort_unstable();
    assert_eq!(got, [0, 1, 2]);
    assert_eq!(feed.unsettled(), 0);
}

#[test]
fn one_subscriber_can_be_sent_away_and_its_messages_are_settled() {
    for delivery in [DeliveryMode::Broadcast, DeliveryMode::Shared] {
        let mut bench = Bench::new(options(delivery, SlowRule::Wait, 4));
        let (mut one, mut other) = (bench.feed.subscribe(From::Live), bench.feed.subscribe(From::Live));
        assert!(poll(&mut one).is_pending() && poll(&mut other).is_pending());
        one.confirmer().close(CloseReason::Revoked);
        assert_eq!(one.confirmer().closed(), Some(CloseReason::Revoked));
        bench.publish(1);
        bench.run();
        assert!(matches!(poll(&mut one), Poll::Ready(None)), "{delivery:?}: it gets no more messages");
        assert_eq!(one.close_reason(), CloseReason::Revoked);
        drop(one);
        let taken = take_all(&mut other);
        assert_eq!(taken.len(), 1, "{delivery:?}");
        other.confirm(1);
        bench.run();
        assert_eq!((bench.acked(), bench.feed.unsettled()), (1, 0), "{delivery:?}");
    }
}
