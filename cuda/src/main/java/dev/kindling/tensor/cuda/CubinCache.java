package dev.kindling.tensor.cuda;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.UUID;
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

  /** Of the digest behind the code. */
  private static final int DIGEST_BYTES = 32;

  /**
   * What was compiled from the same before, or is now. A file that is not what was written, by its
   * digest, is replaced: a driver would read beyond the end of a short one.
   *
   * @param from all that the result depends on
   */
  byte[] get(String from, Supplier<byte[]> compiler) {
    Path file = folder.resolve("kindling-" + named(from) + ".cubin");
    try {
      if (Files.isRegularFile(file)) {
        byte[] kept = Files.readAllBytes(file);
        int size = kept.length - DIGEST_BYTES;
        byte[] cubin = Arrays.copyOf(kept, Math.max(0, size));
        if (size > 0 && Arrays.equals(digest(cubin), Arrays.copyOfRange(kept, size, kept.length))) {
          return cubin;
        }
        LOG.warn("{} is damaged: kernels are compiled again", file);
      }
    } catch (IOException e) {
      LOG.debug("{} cannot be read", file, e);
    }
    byte[] made = compiler.get();
    keep(file, made);
    return made;
  }

  private void keep(Path file, byte[] made) {
    try {
      Files.createDirectories(folder);
      Path part = Files.createTempFile(folder, "kindling", ".part");
      try {
        try (OutputStream out = Files.newOutputStream(part)) {
          out.write(made);
          out.write(digest(made));
        }
        Files.move(part, file, StandardCopyOption.ATOMIC_MOVE);
      } finally {
        Files.deleteIfExists(part);
      }
    } catch (IOException e) { // the next process compiles again
      LOG.debug("{} cannot be kept", file, e);
    }
  }

  private static byte[] digest(byte[] bytes) {
    try {
      return MessageDigest.getInstance("SHA-256").digest(bytes);
    } catch (NoSuchAlgorithmException e) { // every Java has it
      throw new IllegalStateException(e);
    }
  }

  /** 122 bits of a digest: enough to tell compilations apart, not meant to resist forgery. */
  private static UUID named(String from) {
    return UUID.nameUUIDFromBytes(from.getBytes(StandardCharsets.UTF_8));
  }
}
