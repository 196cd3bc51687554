package dev.kindling.tensor.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
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

  private byte[] load(Path folder, String from) {
    return new CubinCache(folder).get(from, this::compile);
  }

  @Test
  void get_sameSource_isCompiledOnce() throws IOException {
    Path folder = temp.resolve("not/yet/there");
    assertThat(load(folder, "a")).containsExactly(1);
    assertThat(load(folder, "a")).containsExactly(1);
    assertThat(load(folder, "b")).containsExactly(2);
    assertThat(compiled).hasValue(2);
    try (Stream<Path> files = Files.list(folder)) {
      assertThat(files).hasSize(2).allMatch(file -> file.toString().endsWith(".cubin"));
    }
  }

  /** As a full disk or a bad block leaves it: nothing, less, or something else. */
  @Test
  void get_fileThatIsDamaged_isCompiledAgainAndReplaced() throws IOException {
    Path folder = temp.resolve("folder");
    assertThat(load(folder, "a")).containsExactly(1);
    Path file;
    try (Stream<Path> files = Files.list(folder)) {
      file = files.findFirst().orElseThrow();
    }
    byte[] whole = Files.readAllBytes(file);
    byte[] other = whole.clone();
    other[0] ^= 1;
    int compilations = 1;
    for (byte[] damaged :
        List.of(new byte[0], Arrays.copyOf(whole, whole.length - 1), new byte[32], other)) {
      Files.write(file, damaged);
      assertThat(load(folder, "a")).containsExactly(++compilations);
      assertThat(load(folder, "a")).containsExactly(compilations);
    }
  }

  @Test
  void get_folderThatIsNone_isCompiledEachTime() throws IOException {
    Path file = Files.createFile(temp.resolve("file"));
    assertThat(load(file, "a")).containsExactly(1);
    assertThat(load(file, "a")).containsExactly(2);
  }
}
