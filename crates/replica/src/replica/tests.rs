//! Scenarios in, conversations out: each line is an event and the effects it had.

use forebay_base::ProducerId;
use forebay_records::NO_PRODUCER;

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

struct Scene {
    replica: Replica,
    now: Instant,
    tickets: u64,
    timestamp_type: TimestampType,
    talk: String,
}

impl Scene {
    fn new(start: i64, end: i64) -> Self {
        let (start, end, producers) = (Offset(start), Offset(end), Producers::default());
        let found = Recovered { start, durable: end, end, producers };
        let replica = Replica::new(Instant(0), LeaderEpoch(3), DAY, Flush::Sync, found);
        Self {
            replica,
            now: Instant(0),
            tickets: 0,
            timestamp_type: TimestampType::CreateTime,
            talk: String::new(),
        }
    }

    fn step(&mut self, name: &str, event: Event) {
        let mut effects = Vec::new();
        self.replica.step(self.now, event, &mut effects);
        let effects: Vec<String> = effects.iter().map(|effect| self.tell(effect)).collect();
        self.talk += &format!("{name}: {}\n", effects.join(", "));
        assert!(self.replica.positions().hold());
    }

    fn tell(&self, effect: &Effect) -> String {
        match effect {
            Effect::Write { ticket, base, epoch, append_time: None } => {
                format!("write {} at {base}/{epoch}", ticket.0)
            }
            Effect::Write { ticket, base, append_time: Some(at), .. } => {
                format!("write {} at {base}@{at}", ticket.0)
            }
            Effect::Sync => "sync".to_owned(),
            Effect::AdvanceStart { to } => format!("advance {to}"),
            Effect::Publish => {
                let Positions { start, high_watermark, end, .. } = self.replica.positions();
                format!("publish {start}..{high_watermark}..{end}")
            }
            Effect::Answer { ticket, result: Ok(appended) } => {
                format!("ok {} {}", ticket.0, appended.base_offset)
            }
            Effect::Answer { ticket, result: Err(refused) } => format!("no {} {}", ticket.0, name(refused)),
            Effect::Deleted { ticket, result: Ok(start) } => format!("deleted {} {start}", ticket.0),
            Effect::Deleted { ticket, result: Err(refused) } => format!("no {} {}", ticket.0, name(refused)),
            Effect::Fail { reason } => format!("fail {reason}"),
        }
    }

    fn append(&mut self, count: i32, acks: Acks) {
        self.send(NO_PRODUCER.0, -1, count, acks);
    }

    fn send(&mut self, producer: i64, sequence: i32, count: i32, acks: Acks) {
        self.tickets += 1;
        let header = BatchHeader {
            base_offset: Offset(0),
            len: 100,
            leader_epoch: LeaderEpoch(-1),
            crc: 0,
            attributes: 0,
            last_offset_delta: count - 1,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id: ProducerId(producer),
            producer_epoch: 0,
            base_sequence: sequence,
            record_count: count,
        };
        let event = Event::Append {
            ticket: Ticket(self.tickets),
            header,
            acks,
            timestamp_type: self.timestamp_type,
            at: WallTime(50),
        };
        self.step(if acks == Acks::All { "append all" } else { "append leader" }, event);
    }

    fn delete(&mut self, to: Option<i64>) {
        self.tickets += 1;
        self.step("delete", Event::DeleteRecords { ticket: Ticket(self.tickets), to: to.map(Offset) });
    }

    fn synced(&mut self, upto: i64) {
        self.step("synced", Event::Synced { upto: Offset(upto), watched: true });
    }

    fn said(&self, expected: &str) {
        let expected: Vec<_> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        assert_eq!(self.talk.lines().map(str::trim).collect::<Vec<_>>(), expected, "\n{}", self.talk);
    }
}

fn name(refused: &Refused) -> String {
    let debug = format!("{refused:?}");
    debug.split([' ', '(', '{']).next().unwrap().to_owned()
}

#[test]
fn what_nobody_waits_for_is_synced_a_little_later() {
    let mut scene = Scene::new(0, 10);
    scene.append(1, Acks::Leader);
    let unwatched = |bytes| Event::Written { bytes, watched: false };
    scene.step("written", unwatched(100));
    assert_eq!(scene.replica.next_timeout(), Some(Instant(0) + VISIBLE_WITHIN));
    scene.append(1, Acks::Leader);
    scene.step("much written", unwatched(VISIBLE_BYTES_MAX));
    scene.append(1, Acks::Leader);
    scene.step("written", unwatched(100));
    scene.step("synced", Event::Synced { upto: Offset(12), watched: false });
    scene.now = Instant(0) + VISIBLE_WITHIN;
    scene.step("time", Event::Timeout { at: WallTime(50) });
    scene.append(1, Acks::Leader);
    scene.step("written", unwatched(100));
    scene.synced(13);
    scene.append(1, Acks::Leader);
    scene.step("written", unwatched(100));
    scene.step("synced", Event::Synced { upto: Offset(14), watched: false });
    scene.step("watched", Event::Watched);
    scene.said(
        "append leader: write 1 at 10/3
         written: publish 0..10..11, ok 1 10
         append leader: write 2 at 11/3
         much written: publish 0..10..12, ok 2 11, sync
         append leader: write 3 at 12/3
         written: publish 0..10..13, ok 3 12
         synced: publish 0..12..13
         time: sync
         append leader: write 4 at 13/3
         written: publish 0..12..14, ok 4 13
         synced: publish 0..13..14, sync
         append leader: write 5 at 14/3
         written: publish 0..13..15, ok 5 14
         synced: publish 0..14..15
         watched: sync",
    );
}

#[test]
fn with_async_flush_the_write_commits() {
    let mut scene = Scene::new(0, 10);
    scene.step("configure", Event::Configure { producer_expiry: DAY, flush: Flush::Async });
    scene.append(2, Acks::All);
    scene.step("written", Event::Written { bytes: VISIBLE_BYTES_MAX, watched: true });
    scene.now = Instant(0) + ASYNC_WITHIN;
    scene.step("time", Event::Timeout { at: WallTime(50) });
    scene.append(1, Acks::All);
    scene.step("configure", Event::Configure { producer_expiry: DAY, flush: Flush::Sync });
    scene.step("written", Event::Written { bytes: 100, watched: false });
    scene.synced(12);
    scene.synced(13);
    scene.said(
        "configure:
         append all: write 1 at 10/3
         written: publish 0..12..12, ok 1 10
         time: sync
         append all: write 2 at 12/3
         configure:
         written: publish 0..12..13
         synced: sync
         synced: publish 0..13..13, ok 2 12",
    );
}

#[test]
fn near_a_roll_async_flush_leaves_little_unsynced() {
    let mut scene = Scene::new(0, 10);
    scene.step("configure", Event::Configure { producer_expiry: DAY, flush: Flush::Async });
    scene.append(1, Acks::All);
    scene.step("written", Event::Written { bytes: 100, watched: true });
    scene.step("a little near a roll", Event::RollNears);
    scene.append(1, Acks::All);
    scene.step("written", Event::Written { bytes: VISIBLE_BYTES_MAX, watched: true });
    scene.step("much near a roll", Event::RollNears);
    scene.append(1, Acks::All);
    scene.step("written", Event::Written { bytes: VISIBLE_BYTES_MAX, watched: true });
    scene.step("much while a sync is in flight", Event::RollNears);
    assert_eq!(scene.replica.sync_due(), None, "an alarm for it would ring and ring");
    scene.step("a roll comes next", Event::Durable { upto: Offset(12) });
    assert_eq!((scene.replica.unsynced_bytes(), scene.replica.is_syncing()), (VISIBLE_BYTES_MAX, true));
    scene.step("rolled", Event::Durable { upto: Offset(13) });
    assert_eq!((scene.replica.unsynced_bytes(), scene.replica.is_syncing()), (0, true));
    scene.synced(12);
    assert_eq!((scene.replica.sync_due(), scene.replica.is_syncing()), (None, false));
    scene.said(
        "configure:
         append all: write 1 at 10/3
         written: publish 0..11..11, ok 1 10
         a little near a roll:
         append all: write 2 at 11/3
         written: publish 0..12..12, ok 2 11
         much near a roll: sync
         append all: write 3 at 12/3
         written: publish 0..13..13, ok 3 12
         much while a sync is in flight:
         a roll comes next:
         rolled:
         synced:",
    );
}

#[test]
fn leader_acks_follow_the_write_and_all_acks_the_sync() {
    let mut scene = Scene::new(0, 10);
    scene.append(2, Acks::Leader);
    scene.append(3, Acks::All);
    scene.step("written", Event::Written { bytes: 100, watched: true });
    scene.append(1, Acks::All);
    scene.step("written", Event::Written { bytes: 100, watched: true });
    scene.synced(15);
    scene.synced(16);
    scene.said(
        "append leader: write 1 at 10/3
         append all: write 2 at 12/3
         written: publish 0..10..15, ok 1 10, sync
         append all: write 3 at 15/3
         written: publish 0..10..16
         synced: publish 0..15..16, ok 2 12, sync
         synced: publish 0..16..16, ok 3 15",
    );
}

#[test]
fn a_failed_write_leaves_nothing_behind() {
    let mut scene = Scene::new(0, 0);
    scene.send(7, 0, 2, Acks::All);
    scene.send(7, 0, 2, Acks::All);
    scene
        .step("write failed", Event::WriteFailed { refused: Refused::OutOfSpace("the disk is full".into()) });
    scene.send(7, 0, 2, Acks::Leader);
    scene.step("written", Event::Written { bytes: 100, watched: true });
    scene.said(
        "append all: write 1 at 0/3
         append all:
         write failed: no 1 OutOfSpace, no 2 OutOfSpace
         append leader: write 3 at 0/3
         written: publish 0..0..2, ok 3 0, sync",
    );
}

#[test]
fn a_duplicate_is_answered_with_the_original_and_not_before_it() {
    let mut scene = Scene::new(0, 0);
    scene.send(7, 0, 2, Acks::All);
    scene.step("written", Event::Written { bytes: 100, watched: true });
    scene.send(7, 0, 2, Acks::All);
    scene.send(7, 0, 2, Acks::Leader);
    scene.send(7, 5, 1, Acks::All);
    scene.synced(2);
    scene.send(7, 0, 2, Acks::All);
    scene.said(
        "append all: write 1 at 0/3
         written: publish 0..0..2, sync
         append all:
         append leader: ok 3 0
         append all: no 4 OutOfOrderSequence
         synced: publish 0..2..2, ok 1 0, ok 2 0
         append all: ok 5 0",
    );
}

#[test]
fn after_a_failed_sync_nothing_is_written_or_retried() {
    let mut scene = Scene::new(0, 4);
    scene.append(1, Acks::All);
    scene.step("written", Event::Written { bytes: 100, watched: true });
    scene.append(1, Acks::All);
    scene.step("written", Event::Written { bytes: 100, watched: true });
    scene.step("sync failed", Event::SyncFailed { reason: "it broke".into() });
    scene.append(1, Acks::Leader);
    scene.synced(6);
    scene.step("rolled", Event::Durable { upto: Offset(6) });
    scene.step("lead", Event::Lead { epoch: LeaderEpoch(4) });
    scene.append(1, Acks::All);
    scene.delete(None);
    scene.said(
        "append all: write 1 at 4/3
         written: publish 0..4..5, sync
         append all: write 2 at 5/3
         written: publish 0..4..6
         sync failed: publish 0..4..6, no 1 Storage, no 2 Storage, fail it broke
         append leader: no 3 Storage
         synced:
         rolled:
         lead: publish 0..4..6
         append all: no 4 Storage
         delete: no 5 Storage",
    );
}

#[test]
fn a_new_epoch_sends_waiters_away_and_stamps_what_follows() {
    let mut scene = Scene::new(0, 0);
    scene.append(1, Acks::All);
    scene.step("written", Event::Written { bytes: 100, watched: true });
    scene.step("lead", Event::Lead { epoch: LeaderEpoch(3) });
    scene.step("lead", Event::Lead { epoch: LeaderEpoch(5) });
    scene.append(1, Acks::All);
    scene.step("written", Event::Written { bytes: 100, watched: true });
    scene.synced(1);
    scene.synced(2);
    scene.said(
        "append all: write 1 at 0/3
         written: publish 0..0..1, sync
         lead:
         lead: publish 0..0..1, no 1 NotLeader
         append all: write 2 at 1/5
         written: publish 0..0..2
         synced: publish 0..1..2, sync
         synced: publish 0..2..2, ok 2 1",
    );
}

#[test]
fn records_are_deleted_up_to_the_high_watermark_only() {
    let mut scene = Scene::new(2, 10);
    scene.append(1, Acks::Leader);
    scene.step("written", Event::Written { bytes: 100, watched: true });
    scene.delete(Some(11));
    scene.delete(Some(-2));
    scene.delete(Some(1));
    scene.delete(Some(5));
    scene.delete(None);
    scene.step("start moved", Event::StartMoved { to: Offset(5) });
    scene.step("start stuck", Event::StartStuck { reason: "no".into() });
    scene.step("start moved", Event::StartMoved { to: Offset(4) });
    scene.said(
        "append leader: write 1 at 10/3
         written: publish 2..10..11, ok 1 10, sync
         delete: no 2 OffsetOutOfRange
         delete: no 3 OffsetOutOfRange
         delete: deleted 4 2
         delete: advance 5
         delete: advance 10
         start moved: publish 5..10..11, deleted 5 5
         start stuck: no 6 Storage
         start moved:",
    );
}

#[test]
fn nothing_is_deleted_before_it_is_durable() {
    let mut scene = Scene::new(0, 10);
    scene.step("configure", Event::Configure { producer_expiry: DAY, flush: Flush::Async });
    scene.append(1, Acks::All);
    scene.step("written", Event::Written { bytes: 100, watched: false });
    scene.delete(Some(11));
    scene.append(1, Acks::All);
    scene.step("written", Event::Written { bytes: 100, watched: false });
    scene.delete(None);
    scene.delete(Some(10));
    scene.synced(11);
    scene.step("start moved", Event::StartMoved { to: Offset(11) });
    scene.step("rolled", Event::Durable { upto: Offset(12) });
    scene.step("start moved", Event::StartMoved { to: Offset(12) });
    scene.append(1, Acks::All);
    scene.step("written", Event::Written { bytes: 100, watched: false });
    scene.synced(12);
    scene.delete(None);
    scene.step("sync failed", Event::SyncFailed { reason: "no".into() });
    scene.said(
        "configure:
         append all: write 1 at 10/3
         written: publish 0..11..11, ok 1 10
         delete: sync
         append all: write 3 at 11/3
         written: publish 0..12..12, ok 3 11
         delete:
         delete: advance 10
         synced: advance 11, sync
         start moved: publish 11..12..12, deleted 2 11, deleted 5 11
         rolled: advance 12
         start moved: publish 12..12..12, deleted 4 12
         append all: write 6 at 12/3
         written: publish 12..13..13, ok 6 12
         synced:
         delete: sync
         sync failed: publish 12..13..13, no 7 Storage, fail no",
    );
}

#[test]
fn log_append_time_is_stamped_and_answered_to_duplicates_too() {
    let mut scene = Scene::new(0, 0);
    scene.timestamp_type = TimestampType::LogAppendTime;
    scene.send(7, 0, 1, Acks::Leader);
    scene.step("written", Event::Written { bytes: 100, watched: true });
    let mut effects = Vec::new();
    let header = BatchHeader { base_offset: Offset(0), ..header_of(7, 0) };
    let timestamp_type = TimestampType::LogAppendTime;
    let again =
        Event::Append { ticket: Ticket(9), header, acks: Acks::Leader, timestamp_type, at: WallTime(999) };
    scene.replica.step(Instant(0), again, &mut effects);
    let passage = Passage { taken: Instant(0), written: Instant(0), committed: None };
    let original =
        Appended { base_offset: Offset(0), log_append_time: Some(50), log_start: Offset(0), passage };
    assert_eq!(effects, [Effect::Answer { ticket: Ticket(9), result: Ok(original) }]);
    scene.said(
        "append leader: write 1 at 0@50
         written: publish 0..0..1, ok 1 0, sync",
    );
}

#[test]
fn an_answer_tells_when_its_batch_was_taken_written_and_committed() {
    let passage = |acks| {
        let mut scene = Scene::new(0, 0);
        scene.now = Instant(10);
        scene.append(1, acks);
        let mut effects = Vec::new();
        scene.replica.step(Instant(30), Event::Written { bytes: 100, watched: true }, &mut effects);
        let synced = Event::Synced { upto: Offset(1), watched: false };
        scene.replica.step(Instant(70), synced, &mut effects);
        effects.iter().find_map(|effect| {
            let Effect::Answer { result, .. } = effect else { return None };
            Some(result.as_ref().unwrap().passage)
        })
    };
    let (taken, written) = (Instant(10), Instant(30));
    assert_eq!(passage(Acks::Leader), Some(Passage { taken, written, committed: None }));
    let committed = Some(Instant(70));
    assert_eq!(passage(Acks::All), Some(Passage { taken, written, committed }));
}

fn header_of(producer: i64, sequence: i32) -> BatchHeader {
    let batch = forebay_records::BatchBuilder::new().producer(ProducerId(producer), 0, sequence);
    BatchHeader::parse(&batch.record(0, None, None).build().unwrap()).unwrap()
}

#[test]
fn stopping_answers_everybody_and_a_roll_commits() {
    let mut scene = Scene::new(0, 0);
    assert_eq!(scene.replica.next_timeout(), None);
    scene.send(7, 0, 1, Acks::All);
    scene.step("written", Event::Written { bytes: 100, watched: true });
    assert!(scene.replica.next_timeout().is_some());
    scene.step("rolled", Event::Durable { upto: Offset(1) });
    scene.append(1, Acks::All);
    scene.step("written", Event::Written { bytes: 100, watched: true });
    scene.delete(None);
    scene.step("stop", Event::Stop);
    scene.append(1, Acks::All);
    scene.now = Instant(0) + EXPIRY_CHECK;
    scene.step("timeout", Event::Timeout { at: WallTime(i64::MAX) });
    assert_eq!(scene.replica.next_timeout(), None);
    scene.said(
        "append all: write 1 at 0/3
         written: publish 0..0..1, sync
         rolled: publish 0..1..1, ok 1 0
         append all: write 2 at 1/3
         written: publish 0..1..2
         delete: advance 1
         stop: publish 0..1..2, no 2 NotLeader, no 3 NotLeader
         append all: no 4 NotLeader
         timeout:",
    );
}
