package dev.kindling.tensor;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;

/** A backend that is another one and counts what it is asked for. */
public final class Counting {
  private final Backend backend;
  private final List<Call> calls = new ArrayList<>();
  private long held;

  /** One operation that was asked for. */
  public record Call(String operation, Object[] arguments) {}

  public Counting(Backend counted) {
    backend =
        (Backend)
            Proxy.newProxyInstance(
                Counting.class.getClassLoader(),
                new Class<?>[] {Backend.class},
                (proxy, method, arguments) -> {
                  try {
                    Object result = method.invoke(counted, arguments);
                    if (method.getName().equals("allocate")) {
                      held += bytes((Tensor) result);
                    } else if (method.getName().equals("free")) {
                      held -= bytes((Tensor) arguments[0]);
                    }
                    calls.add(new Call(method.getName(), arguments));
                    return result;
                  } catch (InvocationTargetException e) {
                    throw e.getCause();
                  }
                });
  }

  private static long bytes(Tensor t) {
    return t.elements() * t.type().bytes();
  }

  public Backend backend() {
    return backend;
  }

  /** Bytes allocated and not freed. */
  public long held() {
    return held;
  }

  /** Operations since the beginning, in order. */
  public List<Call> calls() {
    return List.copyOf(calls);
  }
}
