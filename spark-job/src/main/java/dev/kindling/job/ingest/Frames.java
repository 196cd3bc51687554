package dev.kindling.job.ingest;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/** Strings in byte frames: a length and UTF-8. */
final class Frames {
  private Frames() {}

  static int bytes(String text) {
    return 4 + text.getBytes(StandardCharsets.UTF_8).length;
  }

  static void put(ByteBuffer frame, String text) {
    byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
    frame.putInt(utf8.length).put(utf8);
  }

  static String string(ByteBuffer frame) {
    byte[] utf8 = new byte[frame.getInt()];
    frame.get(utf8);
    return new String(utf8, StandardCharsets.UTF_8);
  }
}
