package dev.kindling.tensor.cuda;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.UUID;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Machine code by what it was compiled from, in files: seconds of a process's start. A file is
 * moved to its name when it is whole, so that processes that compile at the same time do not meet.
 *
 * @param folder beside native libraries that are loaded from there: who can write the one can write
 *     the other
 */
record CubinCache(Path folder) {
  private static final Logger LOG = LoggerFactory.getLogger(CubinCache.class);

  /**
   * Loads what was compiled from the same before, or is now. A file that cannot be loaded is
   * replaced.
   *
   * @param from all that the result depends on
   * @param loader throws {@link IllegalStateException} if it cannot load what it gets
   */
  void load(String from, Supplier<byte[]> compiler, Consumer<byte[]> loader) {
    Path file = folder.resolve("kindling-" + named(from) + ".cubin");
    try {
      if (Files.isRegularFile(file)) {
        loader.accept(Files.readAllBytes(file));
        return;
      }
    } catch (IOException | IllegalStateException e) {
      LOG.warn("kernels are compiled again, for {} cannot be used: {}", file, e.getMessage());
    }
    byte[] made = compiler.get();
    loader.accept(made);
    keep(file, made);
  }

  private void keep(Path file, byte[] made) {
    try {
      Files.createDirectories(folder);
      Path part = Files.createTempFile(folder, "kindling", ".part");
      try {
        Files.write(part, made);
        Files.move(part, file, StandardCopyOption.ATOMIC_MOVE);
      } finally {
        Files.deleteIfExists(part);
      }
    } catch (IOException e) { // the next process compiles again
      LOG.debug("{} cannot be kept", file, e);
    }
  }

  /** 122 bits of a digest: enough to tell compilations apart, not meant to resist forgery. */
  private static UUID named(String from) {
    return UUID.nameUUIDFromBytes(from.getBytes(StandardCharsets.UTF_8));
  }
}
