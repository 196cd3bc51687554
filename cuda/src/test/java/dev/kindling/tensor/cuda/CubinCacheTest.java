package dev.kindling.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CubinCacheTest {
  @TempDir Path temp;
  private final AtomicInteger compiled = new AtomicInteger();

  private byte[] compile() {
    return new byte[] {(byte) compiled.incrementAndGet()};
  }

  /** What is loaded in the end. */
  private byte[] load(Path folder, String from) {
    byte[][] loaded = new byte[1][];
    new CubinCache(folder)
        .load(
            from,
            this::compile,
            cubin -> {
              if (cubin.length == 0) {
                throw new IllegalStateException("cuModuleLoadData failed");
              }
              loaded[0] = cubin;
            });
    return loaded[0];
  }

  @Test
  void load_sameSource_isCompiledOnce() throws IOException {
    Path folder = temp.resolve("not/yet/there");
    assertThat(load(folder, "a")).containsExactly(1);
    assertThat(load(folder, "a")).containsExactly(1);
    assertThat(load(folder, "b")).containsExactly(2);
    assertThat(compiled).hasValue(2);
    try (Stream<Path> files = Files.list(folder)) {
      assertThat(files).hasSize(2).allMatch(file -> file.toString().endsWith(".cubin"));
    }
  }

  /** As a full disk or a bad block leaves it. */
  @Test
  void load_fileThatCannotBeLoaded_isCompiledAgainAndReplaced() throws IOException {
    Path folder = temp.resolve("folder");
    assertThat(load(folder, "a")).containsExactly(1);
    try (Stream<Path> files = Files.list(folder)) {
      Files.write(files.findFirst().orElseThrow(), new byte[0]);
    }
    assertThat(load(folder, "a")).containsExactly(2);
    assertThat(load(folder, "a")).containsExactly(2);
    assertThat(compiled).hasValue(2);
  }

  @Test
  void load_folderThatIsNone_isCompiledEachTime() throws IOException {
    Path file = Files.createFile(temp.resolve("file"));
    assertThat(load(file, "a")).containsExactly(1);
    assertThat(load(file, "a")).containsExactly(2);
  }
}
