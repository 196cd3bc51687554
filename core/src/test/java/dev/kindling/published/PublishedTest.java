package dev.kindling.published;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kindling.InvalidInput;
import dev.kindling.checkpoint.HfFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class PublishedTest {
  @ParameterizedTest
  @EnumSource
  void coordinate_ofEach_findsIt(Published artifact) {
    assertThat(Published.of(artifact.coordinate())).isSameAs(artifact);
  }

  @Test
  void coordinate_unknown_namesTheKnown() {
    assertThatThrownBy(() -> Published.of("org.example:model:1"))
        .isInstanceOf(InvalidInput.class)
        .hasMessageContainingAll(
            "'org.example:model:1'",
            Published.MINILM.coordinate(),
            Published.WORDNET_GLOSSES.coordinate(),
            Published.MACBETH.coordinate());
  }

  /** Another version in the build would make every other test here speak of something else. */
  @Test
  void checksum_ofJarsInTheBuild_isThePinnedOne() {
    assertThat(HfFolder.sha256(Jars.MINILM)).isEqualTo(Published.MINILM.sha256());
    assertThat(HfFolder.sha256(Jars.WORDNET)).isEqualTo(Published.WORDNET_GLOSSES.sha256());
    assertThat(HfFolder.sha256(Jars.MACBETH)).isEqualTo(Published.MACBETH.sha256());
  }

  @ParameterizedTest
  @EnumSource
  void jar_withoutTheEntry_isRefused(Published artifact, @TempDir Path folder) throws IOException {
    Path jar = Jars.of(folder, Map.of("README", new byte[0]));
    assertThatThrownBy(() -> artifact.write(jar, folder.resolve("out")))
        .isInstanceOf(InvalidInput.class)
        .hasMessageContainingAll("made-up.jar", "has no entry");
  }

  @ParameterizedTest
  @EnumSource
  void jar_thatIsNone_isRefused(Published artifact, @TempDir Path folder) throws IOException {
    Path page = Files.writeString(folder.resolve("error.jar"), "<html>not found</html>");
    assertThatThrownBy(() -> artifact.write(page, folder.resolve("out")))
        .isInstanceOf(InvalidInput.class)
        .hasMessageContainingAll("error.jar", "cannot be opened as a jar");
  }
}
