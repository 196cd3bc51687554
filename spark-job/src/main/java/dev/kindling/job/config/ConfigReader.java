package dev.kindling.job.config;

import com.typesafe.config.Config;
import com.typesafe.config.ConfigException;
import com.typesafe.config.ConfigFactory;
import com.typesafe.config.ConfigObject;
import com.typesafe.config.ConfigUtil;
import com.typesafe.config.ConfigValue;
import com.typesafe.config.ConfigValueType;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.DoublePredicate;
import java.util.function.LongPredicate;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * Mutable: reads typed values and collects what is wrong instead of stopping at the first. Where a
 * value is unusable a stand-in is returned, so that reading can go on; {@link #problems} then keeps
 * anyone from using it.
 */
final class ConfigReader {
  private final Config config;
  private final List<String> problems = new ArrayList<>();

  ConfigReader(Config config) {
    this.config = config;
  }

  List<String> problems() {
    return problems;
  }

  void problem(String text) {
    problems.add(text);
  }

  boolean has(String key) {
    return config.hasPath(key);
  }

  /** Text that is not blank: an unset shell variable must not become the working directory. */
  Optional<String> string(String key) {
    Optional<String> value = read(key, () -> config.getString(key));
    if (value.isPresent() && value.get().isBlank()) {
      problem(key + " is blank: set it, or leave it out");
      return Optional.empty();
    }
    return value;
  }

  String required(String key, String what) {
    Optional<String> value = string(key);
    if (value.isEmpty() && !has(key)) {
      problem(key + " is missing: set it to " + what);
    }
    return value.orElse("");
  }

  /** A list of names, or empty if the key holds something else. */
  Optional<List<String>> strings(String key) {
    return isList(key) ? read(key, () -> config.getStringList(key)) : Optional.empty();
  }

  boolean isList(String key) {
    return has(key) && config.getValue(key).valueType() == ConfigValueType.LIST;
  }

  /** A whole number that has a default. */
  long number(String key, LongPredicate legal, String expected, long standIn) {
    requireSet(key);
    return whole(key, legal, expected).orElse(standIn);
  }

  Optional<Long> whole(String key, LongPredicate legal, String expected) {
    Optional<Long> value = read(key, () -> whole(key));
    return value.filter(v -> check(key, legal.test(v), v, expected));
  }

  private long whole(String key) {
    String text = config.getString(key);
    try {
      return new BigDecimal(text).longValueExact(); // 1e3 is whole too
    } catch (ArithmeticException | NumberFormatException e) {
      throw new ConfigException.BadValue(key, "'" + text + "' is no whole number");
    }
  }

  /** {@code key = null} hides a default, and is not one. */
  private void requireSet(String key) {
    if (!has(key)) {
      problem(key + " is null: leave it out for its default");
    }
  }

  int count(String key) {
    requireSet(key);
    return whole(key, v -> v >= 1 && v <= Integer.MAX_VALUE, "a whole number of at least 1")
        .map(Long::intValue)
        .orElse(1);
  }

  Optional<Integer> optionalCount(String key) {
    return has(key) ? Optional.of(count(key)) : Optional.empty();
  }

  double number(String key, DoublePredicate legal, String expected) {
    requireSet(key);
    Optional<Double> value = read(key, () -> config.getDouble(key));
    return value
        .filter(v -> check(key, Double.isFinite(v) && legal.test(v), v, expected))
        .orElse(0.5);
  }

  /**
   * Numbers by regular expressions for layers, in the expressions' order.
   *
   * @param expected what they must be, in words
   */
  Map<String, Double> table(String key, DoublePredicate legal, String expected) {
    Map<String, Double> table = new TreeMap<>();
    ConfigValue value = read(key, () -> config.getValue(key)).orElse(ConfigFactory.empty().root());
    if (!(value instanceof ConfigObject object)) {
      problem(key + " is " + value.unwrapped() + ": expected {name = number}");
      return table;
    }
    object.forEach(
        (name, number) -> {
          try {
            Pattern.compile(name);
          } catch (PatternSyntaxException e) {
            String why = e.getMessage().lines().findFirst().orElse("");
            problem(key + ": '" + name + "' is no regular expression: " + why);
            return;
          }
          double found = number(object, name);
          if (legal.test(found)) {
            table.put(name, found);
          } else {
            problem(key + ": '" + name + "' is " + number.unwrapped() + ": expected " + expected);
          }
        });
    return table;
  }

  /** NaN if it is none. */
  private static double number(ConfigObject object, String name) {
    try {
      return object.toConfig().getDouble(ConfigUtil.joinPath(name));
    } catch (ConfigException e) {
      return Double.NaN;
    }
  }

  boolean flag(String key) {
    requireSet(key);
    return read(key, () -> config.getBoolean(key)).orElse(false);
  }

  /** One of an enum's constants, spelled in lower case with dashes. */
  <E extends Enum<E>> E choice(String key, Class<E> type) {
    requireSet(key);
    String text = string(key).orElse("");
    List<String> known = new ArrayList<>();
    for (E constant : type.getEnumConstants()) {
      String spelled = constant.name().toLowerCase(Locale.ROOT).replace('_', '-');
      if (spelled.equals(text)) {
        return constant;
      }
      known.add(spelled);
    }
    if (!text.isEmpty()) {
      problem(key + " is '" + text + "': expected " + String.join(" | ", known));
    }
    return type.getEnumConstants()[0];
  }

  private boolean check(String key, boolean legal, Object found, String expected) {
    if (!legal) {
      problem(key + " is " + found + ": expected " + expected);
    }
    return legal;
  }

  private <T> Optional<T> read(String key, java.util.function.Supplier<T> getter) {
    if (!has(key)) {
      return Optional.empty();
    }
    try {
      return Optional.of(getter.get());
    } catch (ConfigException e) {
      problem(key + ": " + e.getMessage());
      return Optional.empty();
    }
  }
}
