package dev.kindling.job.broadcast;

import com.sun.management.OperatingSystemMXBean;
import dev.kindling.tensor.cpu.CpuMemory;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * What a JVM holds.
 *
 * @param nativeBytes of tensors
 * @param residentBytes of the whole process, files that are only mapped not counted; 0 where the
 *     system does not say
 */
public record MemoryUse(long nativeBytes, long residentBytes) {
  private static final Path STATUS = Path.of("/proc/self/status");

  /** Of this JVM, now. */
  public static MemoryUse now() {
    return new MemoryUse(CpuMemory.heldBytes(), resident());
  }

  /** Bytes of memory that this machine has, or the container that this JVM is in. */
  public static long physical() {
    return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
        .getTotalMemorySize();
  }

  /** The larger of both, number by number. */
  public MemoryUse max(MemoryUse other) {
    return new MemoryUse(
        Math.max(nativeBytes, other.nativeBytes), Math.max(residentBytes, other.residentBytes));
  }

  /** A line of Linux's is {@code RssAnon: 1234 kB}. */
  private static long resident() {
    try {
      for (String line : Files.readAllLines(STATUS)) {
        if (line.startsWith("RssAnon:")) {
          return 1024 * Long.parseLong(line.replaceAll("\\D", ""));
        }
      }
    } catch (IOException e) {
      return 0; // not Linux
    }
    return 0;
  }
}
