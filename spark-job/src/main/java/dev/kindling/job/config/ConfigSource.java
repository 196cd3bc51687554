package dev.kindling.job.config;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigException;
import com.typesafe.config.ConfigFactory;
import com.typesafe.config.ConfigObject;
import com.typesafe.config.ConfigRenderOptions;
import com.typesafe.config.ConfigUtil;
import com.typesafe.config.ConfigValue;
import com.typesafe.config.ConfigValueFactory;
import com.typesafe.config.ConfigValueType;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.apache.commons.text.similarity.LevenshteinDistance;

/**
 * A configuration as the user gave it, file and overrides merged, and the defaults under it.
 *
 * @param user what the user set, and nothing else
 * @param all the same over the defaults
 */
public record ConfigSource(Config user, Config all) {
  private static final Config REFERENCE =
      ConfigFactory.parseResources(ConfigSource.class.getClassLoader(), "kindling/reference.conf");

  /** Keys of generate, which say nothing of a run. */
  static final List<String> GENERATION_KEYS =
      List.of("prompt", "max-tokens", "temperature", "top-p", "seed");

  /** Keys of export and merge. */
  private static final List<String> TARGET_KEYS = List.of("to", "rank", "base-to");

  /** Keys whose own keys are the user's: expressions for layers. */
  private static final List<String> TABLES =
      List.of("adapter.rank-pattern", "adapter.alpha-pattern", "sampling.kept");

  /** Keys with nothing below them, defaults of null included. */
  private static final Map<String, ConfigValue> KNOWN = leaves(REFERENCE);

  /**
   * Reads a file and overrides; the last duplicate counts.
   *
   * @param file may be absent if the overrides say enough
   * @param overrides {@code key=value}; a value is HOCON only if it begins with a bracket, a brace
   *     or a quote, otherwise a plain string
   */
  public static ConfigSource read(Optional<Path> file, List<String> overrides) {
    Config user = file.map(ConfigSource::parse).orElse(ConfigFactory.empty());
    List<String> problems = new ArrayList<>();
    for (String override : overrides) {
      int equals = override.indexOf('=');
      if (equals < 1) {
        problems.add("'" + override + "' is neither a configuration file nor key=value");
        continue;
      }
      try {
        String key = override.substring(0, equals);
        user =
            ConfigFactory.empty()
                .withValue(key, value(key, override.substring(equals + 1)))
                .withFallback(user);
      } catch (ConfigException e) {
        problems.add("'" + override + "' cannot be read: " + e.getMessage());
      }
    }
    ConfigProblems.check(problems);
    return of(user);
  }

  /** Reads what {@link #encode} wrote. */
  public static ConfigSource decode(String encoded) {
    return of(
        ConfigFactory.parseString(
            new String(Base64.getUrlDecoder().decode(encoded), StandardCharsets.UTF_8)));
  }

  /**
   * Reads what {@link #render} wrote; keys that hold their default, or their method's, count as not
   * set.
   */
  public static ConfigSource kept(String rendered) {
    Config kept = ConfigFactory.parseString(rendered).resolve();
    Map<String, ConfigValue> below = leaves(Methods.settings(kept).withFallback(REFERENCE));
    Config user = kept;
    for (Map.Entry<String, ConfigValue> e : leaves(kept).entrySet()) {
      ConfigValue standard = below.get(e.getKey());
      if (standard != null && text(standard).equals(text(e.getValue()))) {
        user = user.withoutPath(e.getKey());
      }
    }
    return of(user);
  }

  private static String text(ConfigValue value) {
    return canonical(String.valueOf(value.unwrapped()));
  }

  private static ConfigSource of(Config user) {
    try {
      Config said = user.resolve();
      Config below = Methods.settings(said).withFallback(REFERENCE);
      return new ConfigSource(said, said.withFallback(below).resolve());
    } catch (ConfigException e) {
      throw new ConfigProblems(List.of(e.getMessage()));
    }
  }

  /** What the user set, and below it what the method does. */
  Config chosen() {
    return user.withFallback(Methods.settings(user));
  }

  private static Config parse(Path file) {
    if (!Files.isRegularFile(file) || !Files.isReadable(file)) {
      throw new ConfigProblems(List.of(file + ": there is no such configuration file"));
    }
    try {
      return ConfigFactory.parseFile(file.toAbsolutePath().toFile());
    } catch (ConfigException e) {
      throw new ConfigProblems(List.of(e.getMessage()));
    }
  }

  private static ConfigValue value(String key, String text) {
    if (key.equals("prompt")) { // people's words, however they begin
      return ConfigValueFactory.fromAnyRef(text);
    }
    boolean hocon = text.startsWith("[") || text.startsWith("{") || text.startsWith("\"");
    return hocon
        ? ConfigFactory.parseString("v = " + text).getValue("v")
        : ConfigValueFactory.fromAnyRef(text);
  }

  /** A value as it is written, the user's, the method's or the default. */
  public String text(String key) {
    return String.valueOf(all.getValue(key).unwrapped());
  }

  /** The same with one value changed. */
  public ConfigSource with(String key, String value) {
    return of(user.withValue(key, ConfigValueFactory.fromAnyRef(value)));
  }

  /** These settings, and where they say nothing the other's. */
  public ConfigSource over(ConfigSource other) {
    return of(user.withFallback(other.user));
  }

  /** The keys below {@code block} that the user set. */
  List<String> userKeys(String block) {
    return leaves(user).keySet().stream().filter(key -> key.startsWith(block + ".")).toList();
  }

  /** One line without spaces, to be shipped with the job. */
  public String encode() {
    String json = user.root().render(ConfigRenderOptions.concise());
    return Base64.getUrlEncoder()
        .withoutPadding()
        .encodeToString(json.getBytes(StandardCharsets.UTF_8));
  }

  /** One sentence for each key that Kindling does not know, naming the nearest that it does. */
  public List<String> unknownKeys() {
    List<String> problems = new ArrayList<>();
    for (String key : leaves(user).keySet()) {
      boolean ofTable = TABLES.stream().anyMatch(t -> key.equals(t) || key.startsWith(t + "."));
      if (!KNOWN.containsKey(key) && !ofTable) {
        problems.add(
            key + ": no such key" + nearest(key).map(n -> "; did you mean " + n + "?").orElse(""));
      }
    }
    return problems;
  }

  private static Optional<String> nearest(String key) {
    LevenshteinDistance distance = LevenshteinDistance.getDefaultInstance();
    return KNOWN.keySet().stream()
        .min(Comparator.comparing(k -> distance.apply(k, key)))
        .filter(k -> distance.apply(k, key) <= Math.max(3, key.length() / 2));
  }

  /** Whether a key of {@link #identity} has its default: keys that a run did not know yet do. */
  public static boolean isDefault(String key, String value) {
    ConfigValue standard = KNOWN.get(key);
    return standard != null && text(standard).equals(value);
  }

  /** The settings that decide the result, by key: what a run's identity is made of. */
  public Map<String, String> identity() {
    Map<String, String> identity = new TreeMap<>();
    leaves(all)
        .forEach(
            (key, value) -> {
              boolean decides =
                  !key.equals("method") // which is no more than what it sets
                      && !key.equals("output")
                      && !key.equals("output-mode")
                      && !key.startsWith("checkpoint.")
                      && !key.equals("compute.allow-mixed")
                      && !key.equals("base.delivery")
                      && !key.equals("sync.sums")
                      && !GENERATION_KEYS.contains(key)
                      && !TARGET_KEYS.contains(key);
              if (decides) {
                identity.put(key, text(value));
              }
            });
    return identity;
  }

  /** 1, 1.0 and "1" are one value, however it came in. */
  private static String canonical(String value) {
    try {
      return new BigDecimal(value).stripTrailingZeros().toPlainString();
    } catch (NumberFormatException e) {
      return value;
    }
  }

  /** The full configuration with defaults, to be kept with the result. */
  public String render() {
    return all.root()
        .render(ConfigRenderOptions.defaults().setOriginComments(false).setJson(false));
  }

  private static Map<String, ConfigValue> leaves(Config config) {
    Map<String, ConfigValue> leaves = new TreeMap<>();
    collect(config.root(), "", leaves);
    return leaves;
  }

  private static void collect(ConfigObject object, String prefix, Map<String, ConfigValue> into) {
    object.forEach(
        (key, value) -> {
          String path = prefix + ConfigUtil.joinPath(key);
          if (value.valueType() == ConfigValueType.OBJECT) {
            collect((ConfigObject) value, path + ".", into);
          } else {
            into.put(path, value);
          }
        });
  }
}
