package dev.kindling.job.config;

import static org.assertj.core.api.Assertions.assertThat;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigFactory;
import dev.kindling.job.config.JobConfig.Command;
import dev.kindling.lora.AdapterSettings;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** A method is its settings, and these are shown. */
class AxesTest {
  private static Map<String, String> shown(String... more) {
    List<String> overrides =
        Stream.concat(
                Stream.of("base.path=b", "data.train=t", "train.steps=20", "output=o"),
                Arrays.stream(more))
            .toList();
    JobConfig config = JobConfig.of(ConfigSource.read(Optional.empty(), overrides), Command.TRAIN);
    Adapter a = config.adapter();
    AdapterSettings settings = a.settings(a.targets(), List.of());
    Axes axes = Axes.of(config, settings, config.base().storage(), 20);
    assertThat(axes.axes()).hasSize(8);
    Map<String, String> all = new TreeMap<>();
    axes.axes()
        .values()
        .forEach(axis -> axis.forEach((key, value) -> all.put(key, String.valueOf(value))));
    return all;
  }

  /** Whatever a method sets, as it sets it. */
  @Test
  void of_anyMethod_showsAllThatItSets() {
    for (String method : Methods.names()) {
      Map<String, String> shown = shown("method=" + method);
      Config sets = Methods.settings(ConfigFactory.parseMap(Map.of("method", method)));
      sets.entrySet()
          .forEach(
              set -> {
                String key = set.getKey();
                String value = String.valueOf(set.getValue().unwrapped());
                if (key.startsWith("sampling.kept")) {
                  assertThat(shown.get("sampling.kept")).as(method).contains("=" + value);
                } else {
                  assertThat(shown).as(method).containsKey(key);
                  assertThat(shown.get(key).replaceAll("\\.0$", "")).as(key).isEqualTo(value);
                }
              });
    }
  }

  /** As it is in force, not as it was typed. */
  @Test
  void of_whatAnotherKeyDecides_showsWhatIsInForce() {
    Map<String, String> ffa = shown("sync.mode=averaging", "sync.exactness=ffa");
    assertThat(ffa).containsEntry("adapter.train", "b").containsEntry("sync.exactness", "ffa");
    assertThat(shown("method=relora", "merge.links=50")).containsEntry("merge.links", "20");
    assertThat(shown("method=ce-lora", "adapter.r=16"))
        .containsEntry("adapter.r", "16")
        .containsEntry("sampling.rank-share", "0.875");
  }
}
