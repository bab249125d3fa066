// Short names of emoji that people and apps use most; an unknown name stays readable as :name:.

const TABLE = `
smile 😄|grinning 😀|smiley 😃|grin 😁|joy 😂|laughing 😆|sweat_smile 😅|slightly_smiling_face 🙂|wink 😉|blush 😊|heart_eyes 😍|
thinking_face 🤔|neutral_face 😐|confused 😕|disappointed 😞|cry 😢|sob 😭|angry 😠|scream 😱|sunglasses 😎|nerd_face 🤓|exploding_head 🤯|
saluting_face 🫡|zzz 💤|wave 👋|ok_hand 👌|+1 👍|thumbsup 👍|-1 👎|thumbsdown 👎|clap 👏|raised_hands 🙌|pray 🙏|muscle 💪|point_right 👉|
point_left 👈|point_up ☝️|point_down 👇|eyes 👀|brain 🧠|heart ❤️|broken_heart 💔|green_heart 💚|blue_heart 💙|yellow_heart 💛|purple_heart 💜|
fire 🔥|sparkles ✨|star ⭐|star2 🌟|tada 🎉|confetti_ball 🎊|rocket 🚀|zap ⚡|boom 💥|100 💯|white_check_mark ✅|heavy_check_mark ✔️|
ballot_box_with_check ☑️|x ❌|negative_squared_cross_mark ❎|warning ⚠️|no_entry ⛔|no_entry_sign 🚫|question ❓|exclamation ❗|bangbang ‼️|
bulb 💡|memo 📝|pencil ✏️|pencil2 ✏️|book 📖|books 📚|bookmark 🔖|bar_chart 📊|chart_with_upwards_trend 📈|chart_with_downwards_trend 📉|
calendar 📅|date 📅|clock3 🕒|hourglass ⌛|hourglass_flowing_sand ⏳|stopwatch ⏱️|alarm_clock ⏰|mag 🔍|lock 🔒|unlock 🔓|key 🔑|
hammer 🔨|wrench 🔧|hammer_and_wrench 🛠️|gear ⚙️|link 🔗|paperclip 📎|pushpin 📌|round_pushpin 📍|file_folder 📁|open_file_folder 📂|
package 📦|inbox_tray 📥|outbox_tray 📤|email 📧|envelope ✉️|phone ☎️|computer 💻|desktop_computer 🖥️|robot_face 🤖|bug 🐛|test_tube 🧪|
microscope 🔬|money_with_wings 💸|moneybag 💰|dollar 💵|coffee ☕|pizza 🍕|cake 🍰|beer 🍺|apple 🍎|trophy 🏆|medal 🏅|dart 🎯|art 🎨|
musical_note 🎵|movie_camera 🎥|camera 📷|earth_africa 🌍|globe_with_meridians 🌐|sunny ☀️|cloud ☁️|rainbow 🌈|snowflake ❄️|seedling 🌱|
evergreen_tree 🌲|cat 🐱|dog 🐶|unicorn_face 🦄|turtle 🐢|bee 🐝|arrow_right ➡️|arrow_left ⬅️|arrow_up ⬆️|arrow_down ⬇️|
arrows_counterclockwise 🔄|repeat 🔁|fast_forward ⏩|rewind ⏪|stop_button ⏹️|pause_button ⏸️|arrow_forward ▶️|heavy_plus_sign ➕|
heavy_minus_sign ➖|red_circle 🔴|large_blue_circle 🔵|large_green_circle 🟢|large_yellow_circle 🟡|white_circle ⚪|black_circle ⚫|
large_orange_circle 🟠|information_source ℹ️|speech_balloon 💬|thought_balloon 💭|bell 🔔|no_bell 🔕|mega 📣|loudspeaker 📢|recycle ♻️|
checkered_flag 🏁|triangular_flag_on_post 🚩|shield 🛡️|compass 🧭|ladder 🪜|jigsaw 🧩|magic_wand 🪄|crystal_ball 🔮|nut_and_bolt 🔩
`;

const NAMES = new Map(
  TABLE.split("|").map((pair) => {
    const [name, sign] = pair.trim().split(" ");
    return [name, sign];
  }),
);

const QUICK = ["+1", "-1", "white_check_mark", "eyes", "heart", "tada", "joy", "thinking_face", "rocket", "pray"];

/** The sign of a short name, or null. Skin tones are ignored. */
export function emojiSign(name) {
  return NAMES.get(name.split("::")[0]) || null;
}

export function emojiText(name) {
  return emojiSign(name) || `:${name}:`;
}

export function searchEmoji(query, limit = 60) {
  const wanted = query.trim().toLowerCase().replaceAll(":", "");
  const names = wanted ? [...NAMES.keys()].filter((n) => n.includes(wanted)) : orderedNames();
  return names.slice(0, limit);
}

function orderedNames() {
  const rest = [...NAMES.keys()].filter((n) => !QUICK.includes(n) && n !== "thumbsup" && n !== "thumbsdown");
  return [...QUICK, ...rest];
}
