package dev.kindling.checkpoint;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/** Safetensors files as no sound program writes them. */
public final class RawSafetensors {
  private RawSafetensors() {}

  /** Writes header length, header and data, whatever they say of each other. */
  public static Path write(Path file, long length, String header, byte... data) {
    byte[] text = header.getBytes(StandardCharsets.UTF_8);
    ByteBuffer bytes =
        ByteBuffer.allocate(8 + text.length + data.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.putLong(length).put(text).put(data);
    return bytes(file, bytes.array());
  }

  /** With the header's true length. */
  public static Path write(Path file, String header, byte... data) {
    return write(file, header.getBytes(StandardCharsets.UTF_8).length, header, data);
  }

  /** A file with a single tensor named t. */
  public static Path one(Path file, String dtype, String shape, int from, int to, byte... data) {
    return write(file, "{\"t\":" + entry(dtype, shape, from, to) + "}", data);
  }

  public static String entry(String dtype, String shape, int from, int to) {
    return "{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%d,%d]}"
        .formatted(dtype, shape, from, to);
  }

  /** A sound file. */
  public static Path sound(Path file, Map<String, Safetensors.Values> tensors) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (OutputStream to = out) {
      Safetensors.write(to, tensors, Map.of("format", "pt"));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return bytes(file, out.toByteArray());
  }

  public static Path bytes(Path file, byte[] bytes) {
    try {
      return Files.write(file, bytes);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
