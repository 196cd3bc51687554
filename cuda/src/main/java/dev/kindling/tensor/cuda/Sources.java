package dev.kindling.tensor.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** The kernels' source: one translation unit. */
final class Sources {
  /** The first one is what the others share. */
  private static final List<String> FILES =
      List.of(
          "common.cu",
          "norms.cu",
          "elements.cu",
          "rows.cu",
          "attention.cu",
          "flash.cu",
          "flash_forward.cu",
          "flash_backward.cu",
          "loss.cu",
          "codes.cu");

  private Sources() {}

  /** All of it. */
  static String all() {
    StringBuilder all = new StringBuilder();
    for (String file : FILES) {
      try (InputStream in = Sources.class.getResourceAsStream(file)) {
        if (in == null) {
          throw new IllegalStateException(file + " is not in the jar");
        }
        all.append(new String(in.readAllBytes(), StandardCharsets.UTF_8)).append('\n');
      } catch (IOException e) {
        throw new UncheckedIOException(file, e);
      }
    }
    return all.toString();
  }

  /** What compilers are told besides. */
  static List<String> options(boolean bf16) {
    return bf16 ? List.of("-std=c++17", "-DACTIVE_BF16") : List.of("-std=c++17");
  }
}
