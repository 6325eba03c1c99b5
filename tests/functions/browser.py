"""Uses the page as a visitor does, in a headless Chromium: browser.py CHROMIUM URL PICTURE OTHER [SCREENS].

PICTURE is 960 by 640 pixels; OTHER is no picture, though its name says so. SCREENS is a folder for screenshots.
"""

import base64
import sys
from urllib.parse import urlsplit

from playwright.sync_api import expect, sync_playwright

CHROMIUM, URL, PICTURE, OTHER, *SCREENS = sys.argv[1:]
# A function that is called for the first time starts a process; the picture goes through two of them.
PATIENCE_MS = 60_000


def watch(page):
    """Whatever a page complains of, and everything that it asks somebody else for."""
    complaints = []

    def asked(request):
        host = urlsplit(request.url).hostname or ""
        if request.url.startswith("http") and not (host == "127.0.0.1" or host.endswith(".localhost")):
            complaints.append(f"asked {request.url}")

    page.on("request", asked)
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    # An analysis that is not there yet is 404, and Chromium says so; so is `config.json`, which only some sites have.
    page.on(
        "console",
        lambda message: message.type in ("error", "warning")
        and "404" not in message.text
        and complaints.append(f"{message.type}: {message.text}"),
    )
    return complaints


def shoot(page, name):
    if SCREENS:
        page.evaluate("document.activeElement?.blur()")
        page.screenshot(path=f"{SCREENS[0]}/{name}.png", full_page=False)


def fits(page):
    """Nothing sticks out sideways."""
    wide, seen = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= seen, f"{wide} pixels wide in a window of {seen}"


def named(page):
    """Whatever can be used has a name that a screen reader can say."""
    nameless = page.evaluate(
        """[...document.querySelectorAll("button, a[href], input, img:not([alt])")].filter((element) =>
            element.checkVisibility() && !(element.textContent.trim() || element.getAttribute("aria-label")
            || element.getAttribute("alt") || element.labels?.length)).map((element) => element.outerHTML)"""
    )
    assert not nameless, nameless


def upload(page, file):
    page.locator("#file").set_input_files(file)


def analysed(page):
    """What the page shows of the picture is what is in it."""
    result = page.locator("#result")
    expect(result).to_be_visible(timeout=PATIENCE_MS)
    expect(result.locator("h2")).not_to_be_empty()
    expect(result.locator(".facts")).to_contain_text("960 × 640 pixels")
    expect(result.locator(".facts")).to_contain_text("PNG")
    expect(result.locator(".colors")).to_contain_text("Blue")
    assert result.locator(".tags li").count() > 0, "no tags"
    return result.locator("h2").text_content()


def desktop(browser):
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    complaints = watch(page)
    page.goto(URL)
    expect(page.locator("h1")).to_have_text("What is in this picture?")
    named(page)
    fits(page)
    upload(page, PICTURE)
    expect(page.locator("#work")).to_be_visible()
    caption = analysed(page)
    expect(page.locator("#result .picture")).to_be_visible()
    expect(page.locator("#result h2")).to_be_focused()
    assert page.title().startswith(caption), page.title()
    named(page)
    fits(page)
    shoot(page, "result")
    # The address leads to it again, also after the page is loaded anew, and from the list.
    page.reload()
    assert analysed(page) == caption
    page.goto(URL)
    expect(page.locator("#recent li")).to_have_count(1)
    page.locator("#recent a").click()
    assert analysed(page) == caption
    assert not complaints, complaints
    page.close()


def phone(browser):
    """On a phone, at night; with a file that is no picture, then with one."""
    page = browser.new_page(viewport={"width": 390, "height": 844}, device_scale_factor=2, color_scheme="dark", is_mobile=True)
    complaints = watch(page)
    page.goto(URL)
    upload(page, OTHER)
    trouble = page.locator("#trouble")
    expect(trouble).to_be_visible()
    expect(trouble.locator("h2")).not_to_be_empty()
    expect(trouble.locator(".advice")).not_to_be_empty()
    fits(page)
    shoot(page, "trouble")
    upload(page, PICTURE)
    analysed(page)
    expect(trouble).to_be_hidden()
    fits(page)
    shoot(page, "phone")
    assert not complaints, complaints
    page.close()


def cut_off(browser):
    """Without the network the page says so, and goes on when it is back."""
    page = browser.new_page()
    page.goto(URL)
    page.context.set_offline(True)
    upload(page, PICTURE)
    expect(page.locator("#trouble .again")).to_be_visible(timeout=PATIENCE_MS)
    page.context.set_offline(False)
    page.locator("#trouble .again").click()
    analysed(page)
    page.close()


# Holds every picture until a test lets it be read: the first one first, or the last.
HELD = """
    const decode = window.createImageBitmap;
    window.held = [];
    window.createImageBitmap = async (...given) => {
        await new Promise((go) => held.push(go));
        return decode(...given);
    };
    window.settled = async () => {
        for (let frame = 0; frame < 20; frame += 1) await new Promise(requestAnimationFrame);
    };
"""


def hold(page):
    """Chooses a picture, and waits until the page reads it."""
    before = page.evaluate("held.length")
    upload(page, PICTURE)
    page.wait_for_function("(before) => held.length > before", arg=before)


def given_up(browser):
    """What was cancelled, or given up for another picture, shows nothing more when it has been read at last."""
    page = browser.new_page()
    complaints = watch(page)
    page.add_init_script(HELD)
    # A fragment that names no picture is none.
    page.goto(f"{URL}#%")
    hold(page)
    page.locator("#work .cancel").click()
    expect(page.locator("#work")).to_be_hidden()
    page.evaluate("held.shift()(), settled()")
    expect(page.locator("#work")).to_be_hidden()
    expect(page.locator("#start")).to_be_visible()
    hold(page)
    hold(page)
    page.evaluate("held.pop()()")
    caption = analysed(page)
    page.evaluate("held.pop()(), settled()")
    assert analysed(page) == caption
    expect(page.locator("#work")).to_be_hidden()
    expect(page.locator("#recent li")).to_have_count(1)
    assert not complaints, complaints
    page.close()


def misnamed(browser):
    """A picture in a format that the service does not take, under the name of one that it does, is made to fit."""
    page = browser.new_page()
    page.goto(URL)
    webp = page.evaluate(
        """async () => {
            const canvas = Object.assign(document.createElement("canvas"), { width: 400, height: 300 });
            canvas.getContext("2d").fillRect(100, 100, 200, 100);
            const blob = await new Promise((made) => canvas.toBlob(made, "image/webp"));
            return btoa(String.fromCharCode(...new Uint8Array(await blob.arrayBuffer())));
        }"""
    )
    webp = base64.b64decode(webp)
    assert webp[8:12] == b"WEBP", webp[:16]
    upload(page, {"name": "picture.png", "mimeType": "image/png", "buffer": webp})
    expect(page.locator("#result")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("#result .facts")).to_contain_text("JPEG")
    page.close()


with sync_playwright() as playwright:
    # As root, as in many a container, Chromium cannot wall itself in; it visits nobody but this machine.
    chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
    for story in (desktop, phone, cut_off, given_up, misnamed):
        story(chromium)
    chromium.close()
print("ok")
