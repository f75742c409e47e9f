import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { MESSAGE_WITHIN_MS, UnansweredNotifications } from '../../../src/feed/notify/unanswered.js';

// The clock is a fake one: what counts is whether a read becomes due, and not when exactly.

let overdue = 0;
let leader: UnansweredNotifications;
let other: UnansweredNotifications;

beforeEach(() => {
  jest.useFakeTimers();
  overdue = 0;
  leader = new UnansweredNotifications(() => {});
  other = new UnansweredNotifications(() => {
    overdue += 1;
  });
});

afterEach(() => {
  leader.forget();
  other.forget();
  jest.useRealTimers();
});

/** Both receive a notification of a writer, as every listener does. */
function write(): void {
  leader.received();
  other.received();
}

/** The leader has read, and sends a message; both receive it after what else came meanwhile. */
function message(number: number, read: () => void, meanwhile = () => {}): void {
  read();
  const answers = leader.answersBehind('t', number - 1);
  meanwhile();
  leader.receivedMessage('t', number);
  other.receivedMessage('t', number);
  other.answeredBy('t', answers);
}

const wait = () => jest.advanceTimersByTime(2 * MESSAGE_WITHIN_MS);

describe('a notification of a writer', () => {
  beforeEach(() => message(1, leader.readBegins()));

  test('that no message answers leads to a read after 250 ms, once', () => {
    write();
    jest.advanceTimersByTime(MESSAGE_WITHIN_MS - 1);
    expect(overdue).toBe(0);
    wait();
    expect(overdue).toBe(1);
  });

  test('is answered by a message whose read began after it', () => {
    write();
    message(2, leader.readBegins());
    wait();
    expect(overdue).toBe(0);
  });

  test('is not answered by a message whose read began before it, also where it came before the message', () => {
    const read = leader.readBegins();
    message(2, read, write);
    wait();
    expect(overdue).toBe(1);
  });

  test('is answered by the second of two messages that are under way at the same time', () => {
    write();
    const first = leader.readBegins();
    message(2, first, write);
    message(3, leader.readBegins());
    wait();
    expect(overdue).toBe(0);
  });

  test('is answered where the leader had not received its own message yet when it read', () => {
    write();
    leader.readBegins()();
    const early = leader.answersBehind('t', 1);
    for (const each of [leader, other]) each.receivedMessage('t', 2);
    other.answeredBy('t', early);
    write();
    leader.readBegins()();
    // Behind its first message, as that of number 2 has not come back
    other.answeredBy('t', leader.answersBehind('t', 1));
    wait();
    expect(overdue).toBe(0);
  });

  test('is answered by a read of this server that begins after it, and by no other', () => {
    const before = other.readBegins();
    write();
    before();
    wait();
    expect(overdue).toBe(1);
    write();
    other.readBegins()();
    wait();
    expect(overdue).toBe(1);
  });

  test('waits on where a message counts from one that this server has not received', () => {
    write();
    leader.receivedMessage('t', 8);
    leader.readBegins()();
    other.answeredBy('t', leader.answersBehind('t', 8));
    wait();
    expect(overdue).toBe(1);
  });

  test('waits on where a message counts more than have come', () => {
    other.answeredBy('t', { behind: 1, notifications: 5 });
    write();
    wait();
    expect(overdue).toBe(1);
  });
});

describe('something that cannot be read', () => {
  test('leads to a read, whatever a message says', () => {
    message(1, leader.readBegins());
    other.receivedUnknown();
    message(2, leader.readBegins());
    wait();
    expect(overdue).toBe(1);
  });

  test('is answered by a read', () => {
    other.receivedUnknown();
    other.readBegins()();
    wait();
    expect(overdue).toBe(0);
  });
});

test('the first message of a term answers nothing: it is not known yet where it stands', () => {
  expect(leader.answersBehind('t', undefined)).toBeUndefined();
  write();
  message(1, leader.readBegins());
  wait();
  expect(overdue).toBe(1);
});
