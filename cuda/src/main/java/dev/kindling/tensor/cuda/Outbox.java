package dev.kindling.tensor.cuda;

import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;

/**
 * Mutable: what is on its way to a device without anybody waiting for it, in two halves of a buffer
 * that the device reads. A half is written again when all that was sent from it has been read.
 */
final class Outbox {
  /** Where each piece begins, in bytes. */
  private static final int STEP = 16;

  /** The way to the device, in the order of the calls. */
  interface Line {
    /** Begins to copy a part of the buffer. */
    void send(ByteBuffer part, long to);

    /** To be run once: waits for all that has been sent so far. */
    Runnable read();
  }

  private final ByteBuffer buffer;
  private final int half;
  private final Line line;
  private final @Nullable Runnable[] read = new Runnable[2];
  private int current;
  private int at;

  /**
   * @param buffer of an even number of steps
   */
  Outbox(ByteBuffer buffer, Line line) {
    this.buffer = buffer;
    this.half = buffer.capacity() / 2;
    this.line = line;
  }

  /** Whether so many bytes can be sent. */
  boolean takes(int bytes) {
    return bytes <= half;
  }

  /** Takes over what remains in {@code from}. */
  void send(ByteBuffer from, long to) {
    int bytes = from.remaining();
    if (at + bytes > half) {
      turn();
    }
    ByteBuffer part = buffer.slice(current * half + at, bytes);
    part.put(from.duplicate()).flip();
    line.send(part, to);
    at += (bytes + STEP - 1) / STEP * STEP;
  }

  private void turn() {
    read[current] = line.read();
    current = 1 - current;
    at = 0;
    Runnable last = read[current];
    if (last != null) {
      read[current] = null;
      last.run();
    }
  }

  /** What it was made with. */
  ByteBuffer buffer() {
    return buffer;
  }

  /** Waits for what is on its way; no more will be sent. */
  void close() {
    read[current] = line.read();
    for (Runnable one : read) {
      if (one != null) {
        one.run();
      }
    }
  }
}
