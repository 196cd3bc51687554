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

  @Test
  void get_sameSource_isCompiledOnce() throws IOException {
    Path folder = temp.resolve("not/yet/there");
    assertThat(new CubinCache(folder).get("a", this::compile)).containsExactly(1);
    assertThat(new CubinCache(folder).get("a", this::compile)).containsExactly(1);
    assertThat(new CubinCache(folder).get("b", this::compile)).containsExactly(2);
    assertThat(compiled).hasValue(2);
    try (Stream<Path> files = Files.list(folder)) {
      assertThat(files).hasSize(2).allMatch(file -> file.toString().endsWith(".cubin"));
    }
  }

  @Test
  void get_folderThatIsNone_isCompiledEachTime() throws IOException {
    Path file = Files.createFile(temp.resolve("file"));
    assertThat(new CubinCache(file).get("a", this::compile)).containsExactly(1);
    assertThat(new CubinCache(file).get("a", this::compile)).containsExactly(2);
  }
}
